//! From the configuration to a running terminal UI, and back to the shell.

use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use vigie_protocol::Time;
use vigie_protocol::wire::client::{AgentClient, ClientOptions, Dialer};
use vigie_protocol::wire::target::Target;

use super::collect::{Clock, collect};
use super::event::{Event, Mouse};
use super::key::Key;
use super::keymap::Keymap;
use super::perform::Performer;
use super::pictures::{Album, Kind, Medium};
use super::run::{Parts, Runner, Terminal, Told, seconds};
use super::slots::Slots;
use super::state::{Agent, AgentIndex, Fleet, Scope, State};
use super::term::{self, Capabilities, EnterError, Options, Screen, TerminalGuard, input, signals};
use super::theme::{Glyphs, Level, Palette, Theme};
use super::{clip, history};
use crate::config::{Config, TerminalConfig};
use crate::exit::{Exit, Failure};
use crate::session;

/// What waits to be taken in: keys and outcomes. Agents' news have places of their own, so that this
/// is never filled by agents while the terminal stalls.
const QUEUE: usize = 1_024;
/// Bytes of pictures that are kept ready: on a large screen some twenty, by what a terminal takes most for.
const ALBUM: usize = 96 << 20;

/// What the command line said.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The agent, by context or target; all contexts when absent.
    pub agent: Option<String>,
    /// The project.
    pub project: Option<vigie_protocol::ProjectName>,
    /// Whether nothing may be changed from here.
    pub read_only: bool,
}

/// An agent of the fleet and the way to it.
pub struct Member {
    /// As the state knows it.
    pub agent: Agent,
    /// How it is reached.
    pub dialer: Dialer,
}

/// Runs the terminal UI until it ends. Returns the exit code.
///
/// # Errors
/// When there is no terminal, or the configuration names no agent.
pub fn start(config: &Config, wanted: Wanted, runtime: &Handle) -> anyhow::Result<u8> {
    let (members, scope) = members(config, &wanted)?;
    open(config, members, scope, wanted.read_only, runtime)
}

/// Runs the terminal UI on these agents. Blocks: not for a thread of the runtime.
///
/// # Errors
/// When there is no terminal, or it cannot be written to.
pub fn open(
    config: &Config,
    members: Vec<Member>,
    scope: Scope,
    read_only: bool,
    runtime: &Handle,
) -> anyhow::Result<u8> {
    let can = Capabilities::from_env();
    let (keymap, wrong) = Keymap::new(&config.keys);
    let theme = theme(&config.terminal, &can);
    let guard = TerminalGuard::enter(Options { mouse: config.terminal.mouse }).map_err(no_terminal)?;
    let size = term::size();
    let mut state = State::new(Time::now(), (size.width, size.height), theme, keymap, Fleet::default());
    state.scope = scope;
    state.read_only = read_only;
    state.utc = config.terminal.utc;
    state.zone = jiff::tz::TimeZone::system().iana_name().unwrap_or("UTC").to_owned();
    state.mouse = config.terminal.mouse;
    state.history = history::read();
    for text in wrong {
        state.say(text, true);
    }
    let mut screen = Screen::new(guard.output()?, size);
    screen.set_synchronised(config.terminal.synchronised);
    let (sender, mut told) = mpsc::channel(QUEUE);
    let wrap = clip::Wrap::detect(|name| std::env::var(name).ok());
    let medium = medium(config.terminal.pictures, &theme, &can);
    let clock: Clock = Arc::new(Time::now);
    let edge = Edge { state, screen, terminal: guard, wrap, medium, clock: Arc::clone(&clock) };
    let mut runner = assemble(members, edge, &sender, runtime);
    listen(&can, &sender)?;
    let ticking = runtime.spawn(seconds(sender, clock));
    let code = runner.run(runtime, &mut told);
    ticking.abort();
    history::write(&runner.state().history);
    // Dropped first: what is said after the end is said on the user's own screen.
    drop(runner);
    Ok(code?)
}

/// What a loop is put together from, besides its agents: the real terminal's, or a test's.
pub struct Edge<W, T> {
    /// What is known at the start.
    pub state: State,
    /// What is drawn on.
    pub screen: Screen<W>,
    /// The terminal around it.
    pub terminal: T,
    /// How a text gets to the clipboard.
    pub wrap: clip::Wrap,
    /// How pictures are shown.
    pub medium: Medium,
    /// What tells the time.
    pub clock: Clock,
}

/// Puts a loop together: each agent gets its client and its collector, which tell `sender`.
pub fn assemble<W: std::io::Write, T: Terminal>(
    members: Vec<Member>,
    edge: Edge<W, T>,
    sender: &mpsc::Sender<Told>,
    runtime: &Handle,
) -> Runner<W, T> {
    let _inside = runtime.enter();
    let Edge { mut state, screen, terminal, wrap, medium, clock } = edge;
    let slots = Arc::new(Slots::new(members.len(), sender.clone()));
    let mut clients = Vec::with_capacity(members.len());
    for (i, Member { agent, dialer }) in members.into_iter().enumerate() {
        let options = ClientOptions::new(concat!("console ", env!("CARGO_PKG_VERSION")));
        let client = AgentClient::with_dialer(dialer, options);
        let places = Arc::clone(&slots);
        let publish = Arc::new(move |agent, snapshot| places.put(agent, snapshot));
        // It ends with the runtime.
        runtime.spawn(collect(AgentIndex(i as u32), client.clone(), Arc::clone(&clock), publish));
        clients.push(client);
        state.fleet.agents.push(agent);
    }
    state.picture_kind = medium.kind;
    let album = Arc::new(Mutex::new(Album::new(ALBUM)));
    let performer =
        Performer::new(runtime.clone(), clients, sender.clone(), Arc::clone(&album), medium, clock);
    Runner::new(Parts { state, screen, terminal, performer, slots, album, wrap })
}

/// The agents that are looked at, and which of them at first.
fn members(config: &Config, wanted: &Wanted) -> anyhow::Result<(Vec<Member>, Scope)> {
    let named = wanted.agent.as_deref().filter(|name| config.contexts.contains_key(*name));
    if config.contexts.is_empty() || (wanted.agent.is_some() && named.is_none()) {
        let chosen = config.choose(wanted.agent.as_deref())?;
        let target = session::target(chosen.target.as_deref())?;
        let name = if chosen.target.is_some() { target.to_string() } else { "here".to_owned() };
        let mut agent = Agent::new(name, target.to_string());
        agent.project = wanted.project.clone();
        return Ok((vec![Member { agent, dialer: target.into() }], Scope::All));
    }
    let mut members = Vec::new();
    let mut scope = Scope::All;
    for (i, (name, context)) in config.contexts.iter().enumerate() {
        let target: Target =
            context.target.parse().map_err(|error| Failure::usage(format!("{name}: {error}")))?;
        let mut agent = Agent::new(name, target.to_string());
        agent.group = context.group.clone();
        agent.read_only = context.read_only;
        agent.project = wanted.project.clone().or(context.project.clone());
        members.push(Member { agent, dialer: target.into() });
        if named == Some(name) {
            scope = Scope::Agent(AgentIndex(i as u32));
        }
    }
    Ok((members, scope))
}

fn theme(config: &TerminalConfig, can: &Capabilities) -> Theme {
    let palette = config.palette.unwrap_or(Palette::Dark);
    let glyphs = match config.ascii {
        Some(true) => Glyphs::Ascii,
        Some(false) => Glyphs::Utf8,
        None => can.glyphs,
    };
    Theme { palette, level: can.level, glyphs }
}

/// How pictures are shown: as configured, else as the terminal seems to be able to.
fn medium(wanted: Option<Kind>, theme: &Theme, can: &Capabilities) -> Medium {
    let kind = wanted.unwrap_or(match can.pictures {
        _ if theme.glyphs == Glyphs::Ascii => Kind::Ascii,
        term::Pictures::Kitty => Kind::Kitty,
        term::Pictures::Iterm2 => Kind::Iterm2,
        term::Pictures::Sixel => Kind::Sixel,
        term::Pictures::HalfBlocks if theme.level >= Level::Indexed => Kind::HalfBlocks,
        term::Pictures::HalfBlocks | term::Pictures::None => Kind::Ascii,
    });
    let light = theme.palette == Palette::Light;
    Medium { kind, font: font(), level: theme.level, light, tmux: can.tmux, deflate: false }
}

/// The size of a cell in pixels, as far as the terminal tells; what most have otherwise.
fn font() -> (u16, u16) {
    const USUAL: (u16, u16) = (8, 16);
    let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdout()) else { return USUAL };
    let cell = |pixels: u16, cells: u16| pixels.checked_div(cells).filter(|pixels| *pixels > 0);
    match (cell(size.ws_xpixel, size.ws_col), cell(size.ws_ypixel, size.ws_row)) {
        (Some(width), Some(height)) => (width, height),
        _ => USUAL,
    }
}

/// Keys, the mouse and signals become things that the loop is told.
fn listen(can: &Capabilities, sender: &mpsc::Sender<Told>) -> anyhow::Result<()> {
    let signalled = sender.clone();
    signals::listen(move |signal| {
        let told = match signal {
            signals::Signal::End { code } => Told::End(code),
            signals::Signal::Continued => Told::Continued,
            signals::Signal::Resized(size) => {
                Told::Event(Event::Resize { width: size.width, height: size.height })
            }
        };
        // Must not wait. An end that finds the queue full is carried out by the terminal's edge after
        // two seconds.
        let _ = signalled.try_send(told);
    })?;
    let typed = sender.clone();
    input::listen(can.escape_delay(), move |event| {
        use crossterm::event::{MouseButton, MouseEventKind};
        let told = match event {
            input::InputEvent::Key(key) => Told::Event(Event::Key(Key::from(key))),
            input::InputEvent::Paste(text) => Told::Event(Event::Paste(text)),
            input::InputEvent::Mouse(mouse) => match mouse.kind {
                MouseEventKind::ScrollDown => Told::Event(Event::Mouse(Mouse::Down)),
                MouseEventKind::ScrollUp => Told::Event(Event::Mouse(Mouse::Up)),
                MouseEventKind::Down(MouseButton::Left) => {
                    Told::Event(Event::Mouse(Mouse::Click { x: mouse.column, y: mouse.row }))
                }
                _ => return true,
            },
            input::InputEvent::Gone => Told::End(term::GONE),
        };
        typed.blocking_send(told).is_ok()
    })?;
    Ok(())
}

fn no_terminal(error: EnterError) -> anyhow::Error {
    match error {
        EnterError::NotATerminal(_) | EnterError::Dumb(_) => {
            Failure::new(Exit::Usage, format!("the console {error}"))
                .hint("every screen is a command too: `vigie --help` lists them")
                .into()
        }
        EnterError::Io(source) => anyhow::Error::new(source).context("cannot set up the terminal"),
    }
}

impl Terminal for TerminalGuard {
    fn set_mouse(&mut self, on: bool) -> std::io::Result<()> {
        TerminalGuard::set_mouse(self, on)
    }

    fn suspend(&mut self) -> std::io::Result<()> {
        TerminalGuard::suspend(self)
    }

    fn resume(&mut self) -> std::io::Result<()> {
        TerminalGuard::resume(self)
    }
}
