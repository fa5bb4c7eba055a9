//! The loop: one event, then all that wait, then a frame if something changed and it is time for one.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ratatui::layout::Size;
use tokio::sync::mpsc;

use super::collect::Clock;
use super::event::Event;
use super::perform::{Outside, Performer};
use super::pictures::Album;
use super::record::Recorder;
use super::slots::Slots;
use super::state::State;
use super::term::Screen;
use super::{clip, update, views};

/// Frames are at least this far apart: 30 a second.
const FRAME: Duration = Duration::from_millis(33);
/// A key may have its frame sooner.
const KEY_FRAME: Duration = Duration::from_millis(8);
/// News of agents are taken in this often: nobody reads faster, and each costs a frame.
const NEWS: Duration = Duration::from_millis(200);
/// Events taken in before a frame is due again.
const BURST: usize = 256;

/// What the loop is told.
#[derive(Debug)]
pub enum Told {
    /// Something happened.
    Event(Event),
    /// News of agents wait in their slots.
    News,
    /// The process was stopped and goes on.
    Continued,
    /// It should end, with this exit code.
    End(u8),
}

/// The terminal as the loop needs it, besides the screen that is drawn on.
pub trait Terminal {
    /// Listens to the mouse, or leaves it alone.
    fn set_mouse(&mut self, on: bool) -> std::io::Result<()>;
    /// Gives the terminal back until the shell returns it.
    fn suspend(&mut self) -> std::io::Result<()>;
    /// Takes the terminal again.
    fn resume(&mut self) -> std::io::Result<()>;
}

/// The loop and all it owns.
pub struct Runner<W, T> {
    state: State,
    screen: Screen<W>,
    terminal: T,
    performer: Performer,
    recorder: Recorder,
    slots: Arc<Slots>,
    album: Arc<Mutex<Album>>,
    wrap: clip::Wrap,
    dirty: bool,
    repaint: bool,
    pressed: bool,
    drawn: Option<Instant>,
    news_taken: Option<Instant>,
    news_wait: bool,
}

/// What a loop is made of.
pub struct Parts<W, T> {
    /// What is known at the start.
    pub state: State,
    /// What is drawn on.
    pub screen: Screen<W>,
    /// The terminal around it.
    pub terminal: T,
    /// Who carries effects out.
    pub performer: Performer,
    /// Where collectors put their news.
    pub slots: Arc<Slots>,
    /// The pictures.
    pub album: Arc<Mutex<Album>>,
    /// How a text gets to the clipboard.
    pub wrap: clip::Wrap,
}

impl<W: Write, T: Terminal> Runner<W, T> {
    /// Ready to run.
    pub fn new(parts: Parts<W, T>) -> Self {
        let Parts { state, screen, terminal, performer, slots, album, wrap } = parts;
        let recorder = Recorder::new(&state);
        Self {
            state,
            screen,
            terminal,
            performer,
            recorder,
            slots,
            album,
            wrap,
            dirty: true,
            repaint: false,
            pressed: false,
            drawn: None,
            news_taken: None,
            news_wait: false,
        }
    }

    /// What is known.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Where frames go.
    pub fn writer_mut(&mut self) -> &mut W {
        self.screen.writer_mut()
    }

    /// Runs until it is told to end. Returns the exit code.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub fn run(
        &mut self,
        runtime: &tokio::runtime::Handle,
        told: &mut mpsc::Receiver<Told>,
    ) -> std::io::Result<u8> {
        loop {
            if let Some(code) = self.frame_if_due(Instant::now())? {
                return Ok(code);
            }
            let next = match self.due() {
                // Something waits for its time: until then whatever comes is taken in.
                Some(due) => runtime.block_on(async {
                    tokio::time::timeout_at(due.into(), told.recv()).await.unwrap_or(Some(Told::News))
                }),
                None => runtime.block_on(told.recv()),
            };
            let Some(first) = next else { return Ok(0) };
            if let Some(code) = self.take_all(first, told)? {
                return Ok(code);
            }
        }
    }

    /// Takes in one thing and all that wait behind it, up to a burst.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub fn take_all(&mut self, first: Told, told: &mut mpsc::Receiver<Told>) -> std::io::Result<Option<u8>> {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(one) = next {
            if let Some(code) = self.take(one)? {
                return Ok(Some(code));
            }
            taken += 1;
            next = if taken < BURST { told.try_recv().ok() } else { None };
        }
        Ok(None)
    }

    /// Takes in one thing. Returns the exit code if that was the end.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub fn take(&mut self, told: Told) -> std::io::Result<Option<u8>> {
        match told {
            Told::Event(event) => self.event(event),
            Told::News => {
                self.news_wait = true;
                Ok(None)
            }
            Told::Continued => {
                self.terminal.resume()?;
                self.repaint = true;
                self.dirty = true;
                Ok(None)
            }
            Told::End(code) => Ok(Some(code)),
        }
    }

    /// When the next frame, or the next look at the slots, is due; never, when nothing waits.
    fn due(&self) -> Option<Instant> {
        let gap = if self.pressed { KEY_FRAME } else { FRAME };
        let frame = self.dirty.then(|| self.drawn.map_or_else(Instant::now, |drawn| drawn + gap));
        let news = self.news_wait.then(|| self.news_taken.map_or_else(Instant::now, |taken| taken + NEWS));
        frame.into_iter().chain(news).min()
    }

    /// Takes in the news and draws, if their time has come.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub fn frame_if_due(&mut self, now: Instant) -> std::io::Result<Option<u8>> {
        if self.news_wait && self.news_taken.is_none_or(|taken| now >= taken + NEWS) {
            self.news_wait = false;
            self.news_taken = Some(now);
            let news = self.slots.take();
            if !news.is_empty()
                && let Some(code) = self.event(Event::Agents(news))?
            {
                return Ok(Some(code));
            }
        }
        let gap = if self.pressed { KEY_FRAME } else { FRAME };
        if self.dirty && self.drawn.is_none_or(|drawn| now >= drawn + gap) {
            self.draw(now)?;
        }
        Ok(None)
    }

    fn draw(&mut self, now: Instant) -> std::io::Result<()> {
        let mut album = self.album.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut self.repaint) {
            self.screen.repaint();
            album.forget_sent();
        }
        let state = &self.state;
        self.screen.draw(|area, buffer| views::draw(state, &album, area, buffer))?;
        album.note_sent(self.screen.shown());
        self.drawn = Some(now);
        self.dirty = false;
        self.pressed = false;
        Ok(())
    }

    fn event(&mut self, event: Event) -> std::io::Result<Option<u8>> {
        self.recorder.take(&event, &self.state);
        self.pressed |= matches!(event, Event::Key(_) | Event::Paste(_) | Event::Mouse(_));
        if let Event::Resize { width, height } = event {
            self.screen.resize(Size { width, height });
            self.repaint = true;
        }
        self.dirty = true;
        for effect in update(&mut self.state, event) {
            if let Some(outside) = self.performer.perform(effect, &self.state)
                && let Some(code) = self.outside(outside)?
            {
                return Ok(Some(code));
            }
        }
        Ok(None)
    }

    fn outside(&mut self, outside: Outside) -> std::io::Result<Option<u8>> {
        match outside {
            Outside::Copy(text) => match clip::osc52(&text, self.wrap) {
                Ok(sequence) => {
                    let writer = self.screen.writer_mut();
                    writer.write_all(sequence.as_bytes())?;
                    writer.flush()?;
                }
                Err(error) => self.state.say(error.to_string(), true),
            },
            Outside::Dump => self.dump(),
            Outside::Mouse(on) => self.terminal.set_mouse(on)?,
            Outside::Repaint => self.repaint = true,
            Outside::Suspend => {
                self.terminal.suspend()?;
                self.repaint = true;
            }
            Outside::Quit => return Ok(Some(0)),
        }
        Ok(None)
    }

    fn dump(&mut self) {
        let name = format!("vigie-{}.replay", self.state.now.timestamp().strftime("%Y%m%d-%H%M%S"));
        let written = self.recorder.dump().and_then(|bytes| Ok(super::record::write_new(&name, &bytes)?));
        match written {
            Ok(path) => {
                self.state.say(format!("wrote {}; `vigie replay` plays it back", path.display()), false)
            }
            Err(error) => self.state.say(format!("cannot write {name}: {error:#}"), true),
        }
    }
}

/// A second of the wall clock, told for as long as somebody listens.
pub async fn seconds(told: mpsc::Sender<Told>, clock: Clock) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A full queue has news enough; the clock can wait for the next second.
        if let Err(mpsc::error::TrySendError::Closed(_)) =
            told.try_send(Told::Event(Event::Second { now: clock() }))
        {
            return;
        }
    }
}
