//! A server of one file, with an entity tag and ranges, and a proxy as companies have them.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{archive, fixture};

/// The longest head of a request.
const MAX_HEAD: usize = 64 << 10;

/// What one side heard: for a server the heads of requests, for a proxy every byte from the client.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    /// All of it, in small letters.
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn add(&self, bytes: &[u8]) {
        self.0.lock().unwrap().push(String::from_utf8_lossy(bytes).to_lowercase());
    }
}

/// A server that answers until the tests end.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) heard: Heard,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Serves [`archive`]; its first answers end after so many bytes each. With the name of a
    /// certificate it does so over TLS.
    pub(super) fn start(certificate: Option<&str>, cuts: &[usize]) -> Self {
        let tls = certificate.map(|name| Arc::new(tls(name)));
        let cuts = Arc::new(Mutex::new(VecDeque::from(cuts.to_vec())));
        Self::listen(move |stream, heard| {
            match &tls {
                None => serve(stream, heard, &cuts)?,
                Some(config) => {
                    let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
                    serve(StreamOwned::new(connection, stream), heard, &cuts)?;
                }
            }
            Ok(())
        })
    }

    /// A proxy, for which every host is `origin`. With credentials (as they are sent) it wants them.
    pub(super) fn proxy(origin: SocketAddr, credentials: Option<&str>) -> Self {
        let wanted = credentials.map(|wanted| format!("proxy-authorization: basic {wanted}").to_lowercase());
        Self::listen(move |client, heard| forward(client, heard, origin, wanted.as_deref()))
    }

    /// How often somebody connected.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn listen(answer: impl Fn(TcpStream, &Heard) -> io::Result<()> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Heard::default());
        let (ears, connections) = (heard.clone(), Arc::<AtomicUsize>::default());
        let counted = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                let (answer, ears) = (answer.clone(), ears.clone());
                // Clients that break off are part of the play.
                thread::spawn(move || drop(answer(stream, &ears)));
            }
        });
        Self { address, heard, connections }
    }
}

fn tls(name: &str) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(fixture(&format!("{name}.pem"))).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap()
}

/// Answers one request.
fn serve(mut stream: impl Read + Write, heard: &Heard, cuts: &Mutex<VecDeque<usize>>) -> io::Result<()> {
    let head = read_head(&mut stream)?;
    heard.add(&head);
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let bytes = archive();
    let total = bytes.len();
    let range = head.split_once("range: bytes=").and_then(|(_, range)| range.split_once('-'));
    let from: Option<usize> = range.and_then(|(from, _)| from.parse().ok());
    let first = from.unwrap_or(0);
    let status = match from {
        Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {first}-{}/{total}", total - 1),
        None => "200 OK".to_owned(),
    };
    let length = total - first;
    let head =
        format!("HTTP/1.1 {status}\r\nETag: \"1\"\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let cut = cuts.lock().unwrap().pop_front().unwrap_or(length).min(length);
    stream.write_all(head.as_bytes())?;
    stream.write_all(&bytes[first..first + cut])?;
    stream.flush()
}

/// Passes one request on, or tunnels.
fn forward(mut client: TcpStream, heard: &Heard, origin: SocketAddr, wanted: Option<&str>) -> io::Result<()> {
    let head = read_head(&mut client)?;
    heard.add(&head);
    let text = String::from_utf8_lossy(&head).into_owned();
    if wanted.is_some_and(|wanted| !text.to_lowercase().contains(wanted)) {
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
        return client.write_all(refusal.as_bytes());
    }
    let mut server = TcpStream::connect(origin)?;
    if text.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        // As proxies do: a path in place of the URL, and nothing of what was for the proxy alone.
        let (method, rest) = text.split_once(" http://").ok_or(io::ErrorKind::InvalidData)?;
        let (_, path) = rest.split_once('/').ok_or(io::ErrorKind::InvalidData)?;
        let lines = path.split("\r\n").filter(|line| !line.to_lowercase().starts_with("proxy-"));
        let lines: Vec<&str> = lines.collect();
        write!(server, "{method} /{}", lines.join("\r\n"))?;
    }
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let ears = heard.clone();
    thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(read @ 1..) = from_client.read(&mut buffer) {
            ears.add(&buffer[..read]);
            if to_server.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Write);
    });
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}

fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    Ok(head)
}
