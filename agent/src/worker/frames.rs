//! Frames of the worker's pipes: four bytes of length, big-endian, then a MessagePack map. The
//! same as `tokio_util`'s length-delimited codec, which the agent's side uses.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest frame. A training of 1,000 epochs or a quarantine of 1,000 long paths is well below.
pub const MAX_FRAME: usize = 4 * 1024 * 1024;

/// Why a frame was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is longer than [`MAX_FRAME`].
    #[error("a frame of {0} bytes is longer than {MAX_FRAME}")]
    TooLong(usize),
    /// Its bytes are not what was expected.
    #[error("a frame does not decode: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
    /// A value cannot be encoded.
    #[error("a frame does not encode: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
    /// The pipe failed.
    #[error("the pipe failed")]
    Io(#[from] io::Error),
}

/// The body of a frame.
///
/// # Errors
/// [`FrameError::TooLong`], [`FrameError::Encode`].
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let body = rmp_serde::to_vec_named(value)?;
    if body.len() > MAX_FRAME { Err(FrameError::TooLong(body.len())) } else { Ok(body) }
}

/// Reads the body of a frame.
///
/// # Errors
/// [`FrameError::TooLong`], [`FrameError::Decode`].
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    if body.len() > MAX_FRAME {
        return Err(FrameError::TooLong(body.len()));
    }
    Ok(rmp_serde::from_slice(body)?)
}

/// Writes one frame in one write, and flushes.
///
/// # Errors
/// When the value is too long or the pipe fails.
pub fn write(pipe: &mut impl Write, value: &impl Serialize) -> Result<(), FrameError> {
    let body = encode(value)?;
    let mut frame = Vec::with_capacity(4 + body.len());
    let length = u32::try_from(body.len()).map_err(|_| FrameError::TooLong(body.len()))?;
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&body);
    pipe.write_all(&frame)?;
    Ok(pipe.flush()?)
}

/// Reads one frame. Memory grows with what arrives, not with what the length promises.
///
/// # Errors
/// When the frame is too long, cut short or not what was expected.
pub fn read<T: DeserializeOwned>(pipe: &mut impl Read) -> Result<T, FrameError> {
    let mut length = [0; 4];
    pipe.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    let mut body = Vec::new();
    pipe.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    decode(&body)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::super::Report;
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let notes: Vec<Report> = ["", "émoji 🦉", &"long ".repeat(10_000)]
            .map(|text| Report::Note { level: "info".into(), text: text.into() })
            .into();
        let mut pipe = Vec::new();
        for note in &notes {
            write(&mut pipe, note).unwrap();
        }
        let mut pipe = pipe.as_slice();
        for note in &notes {
            assert_eq!(&read::<Report>(&mut pipe).unwrap(), note);
        }
        assert!(matches!(read::<Report>(&mut pipe), Err(FrameError::Io(_))));
    }

    #[test]
    fn tokio_reads_the_same_frames() {
        use tokio_util::codec::{Decoder, LengthDelimitedCodec};
        let note = Report::Note { level: "info".into(), text: "hello".into() };
        let mut pipe = Vec::new();
        write(&mut pipe, &note).unwrap();
        let mut buffer = pipe.as_slice().into();
        let body = LengthDelimitedCodec::new().decode(&mut buffer).unwrap().unwrap();
        assert_eq!(decode::<Report>(&body).unwrap(), note);
    }

    #[test]
    fn long_frames_are_refused_on_both_sides() {
        let note = Report::Note { level: "info".into(), text: "x".repeat(MAX_FRAME) };
        assert!(matches!(write(&mut Vec::new(), &note), Err(FrameError::TooLong(_))));
        let promise = (MAX_FRAME as u32 + 1).to_be_bytes();
        assert!(matches!(read::<Report>(&mut promise.as_slice()), Err(FrameError::TooLong(_))));
        assert!(matches!(decode::<Report>(&vec![0; MAX_FRAME + 1]), Err(FrameError::TooLong(_))));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = read::<Report>(&mut bytes.as_slice());
            let _ = decode::<Report>(&bytes);
        }
    }
}
