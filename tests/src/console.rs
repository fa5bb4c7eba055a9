//! The console's loop in this process: real collectors, a real screen, and a writer that counts.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ratatui::layout::Size;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use vigie::tui::clip::Wrap;
use vigie::tui::collect::Clock;
use vigie::tui::event::Event;
use vigie::tui::key::Keys;
use vigie::tui::keymap::Keymap;
use vigie::tui::pictures::{Kind, Medium};
use vigie::tui::run::{Runner, Terminal, Told};
use vigie::tui::state::{Agent, Fleet, State};
use vigie::tui::term::Screen;
use vigie::tui::theme::{Glyphs, Level, Palette, Theme};
use vigie::tui::{Edge, Member, assemble};
use vigie_protocol::Time;
use vigie_protocol::wire::client::Dialer;

/// Counts what is written, and how often.
#[derive(Debug, Default)]
pub struct Counter {
    /// Bytes.
    pub bytes: u64,
    /// Writes: one a frame.
    pub writes: u64,
}

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.writes += 1;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// No terminal around the screen.
#[derive(Debug)]
pub struct Nowhere;

impl Terminal for Nowhere {
    fn set_mouse(&mut self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn suspend(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn resume(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A console that a test drives.
pub struct Console {
    runner: Runner<Counter, Nowhere>,
    told: mpsc::Receiver<Told>,
    runtime: Handle,
    /// The loop's time: it passes when a test says so, so that no frame is late because a test is.
    now: Instant,
}

impl Console {
    /// A console of these agents on a terminal of this size, with 256 colours.
    pub fn new(
        agents: Vec<(String, Dialer)>,
        (width, height): (u16, u16),
        clock: Clock,
        runtime: &Handle,
    ) -> Self {
        let theme = Theme { palette: Palette::Dark, level: Level::Indexed, glyphs: Glyphs::Utf8 };
        let (keymap, _) = Keymap::new(&BTreeMap::new());
        let (sender, told) = mpsc::channel(1_024);
        let state = State::new(clock(), (width, height), theme, keymap, Fleet::default());
        let screen = Screen::new(Counter::default(), Size { width, height });
        let medium = Medium {
            kind: Kind::HalfBlocks,
            font: (8, 16),
            level: theme.level,
            light: false,
            tmux: false,
            deflate: false,
        };
        let edge = Edge { state, screen, terminal: Nowhere, wrap: Wrap::None, medium, clock };
        let member = |(name, dialer): (String, Dialer)| Member {
            agent: Agent::new(&name, format!("sim:{name}")),
            dialer,
        };
        let members = agents.into_iter().map(member).collect();
        let runner = assemble(members, edge, &sender, runtime);
        Self { runner, told, runtime: runtime.clone(), now: Instant::now() }
    }

    /// What the console knows.
    pub fn state(&self) -> &State {
        self.runner.state()
    }

    /// What was written since the last call, once all that is due is drawn.
    pub fn written(&mut self) -> Counter {
        std::mem::take(self.runner.writer_mut())
    }

    /// Takes in all that waits, and draws what is due after so much more of the loop's time.
    pub fn pass(&mut self, span: Duration) {
        while let Ok(told) = self.told.try_recv() {
            self.take(told);
        }
        self.now += span;
        self.frame();
    }

    /// Tells the loop something, and draws if it is due.
    pub fn tell(&mut self, event: Event) {
        self.take(Told::Event(event));
        self.frame();
    }

    /// Presses keys, each a tenth of a second after the one before. Returns how long the slowest took
    /// from the key to its bytes.
    ///
    /// # Panics
    /// When they are no keys.
    pub fn press(&mut self, keys: &str) -> Duration {
        let mut slowest = Duration::ZERO;
        for word in keys.split_whitespace() {
            let Keys(keys) = word.parse().expect("a test presses keys that there are");
            for key in keys {
                self.pass(Duration::from_millis(100));
                let begun = Instant::now();
                self.tell(Event::Key(key));
                slowest = slowest.max(begun.elapsed());
            }
        }
        slowest
    }

    /// Types a text.
    pub fn type_text(&mut self, text: &str) {
        for c in text.chars() {
            self.pass(Duration::from_millis(100));
            self.tell(Event::Key(vigie::tui::key::Key::char(c)));
        }
    }

    /// Goes to a view by its command.
    pub fn go(&mut self, line: &str) {
        self.press("esc :");
        self.type_text(line);
        self.press("enter");
    }

    /// Lets events come until `wanted` holds. Returns whether it did within `patience` of real time.
    pub fn until(&mut self, patience: Duration, wanted: impl Fn(&State) -> bool) -> bool {
        let end = Instant::now() + patience;
        loop {
            self.pass(Duration::from_millis(250));
            if wanted(self.state()) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let runtime = self.runtime.clone();
            let next = runtime.block_on(async {
                tokio::time::timeout(left.min(Duration::from_millis(250)), self.told.recv()).await
            });
            if let Ok(Some(told)) = next {
                self.take(told);
            }
        }
    }

    /// A second of the wall clock.
    pub fn second(&mut self, now: Time) {
        self.pass(Duration::from_secs(1));
        self.tell(Event::Second { now });
        self.pass(Duration::from_millis(100));
    }

    fn take(&mut self, told: Told) {
        let ended = self.runner.take(told).expect("a counter takes everything");
        assert_eq!(ended, None, "the console ended");
    }

    fn frame(&mut self) {
        let ended = self.runner.frame_if_due(self.now).expect("a counter takes everything");
        assert_eq!(ended, None, "the console ended");
    }
}

/// A clock that shows what a fleet's clock shows.
pub fn clock_of(fleet: &Arc<crate::fleet::Fleet>) -> Clock {
    let fleet = Arc::clone(fleet);
    Arc::new(move || fleet.now())
}
