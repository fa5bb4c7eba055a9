//! A recorded session, played back: the same events, through the same `update`, to the same screens.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};

use super::event::Event;
use super::key::Key;
use super::pictures::Album;
use super::record::Recording;
use super::state::State;
use super::term::screen::LARGEST;
use super::term::{self, Capabilities, Options, Screen, TerminalGuard, input, signals};
use super::theme::Role;
use super::{update, views, widgets};

/// The fastest and the slowest pace: a recorded second takes a second divided by this.
const PACES: [f64; 6] = [0.5, 1.0, 2.0, 5.0, 20.0, 100.0];

/// Where a playback stands.
pub struct Player {
    state: State,
    events: std::vec::IntoIter<Event>,
    played: usize,
    all: usize,
}

impl Player {
    /// Before the first event.
    pub fn new(recording: Recording) -> Self {
        let Recording { from, events, .. } = recording;
        let all = events.len();
        Self { state: from, events: events.into_iter(), played: 0, all }
    }

    /// Plays one event: what it wanted done outside was done when it was recorded, and its outcome is
    /// an event too. Returns the event's name; nothing at the end.
    pub fn step(&mut self) -> Option<&'static str> {
        let event = self.events.next()?;
        let name = name(&event);
        self.played += 1;
        // The effects have had their outcomes already.
        drop(update(&mut self.state, event));
        Some(name)
    }

    /// Plays until so many events are played, or all.
    pub fn play_to(&mut self, events: usize) {
        while self.played < events && self.step().is_some() {}
    }

    /// The screen as it was then.
    pub fn draw(&self, buffer: &mut Buffer) {
        let (width, height) = self.state.size;
        let area = Rect::new(0, 0, width, height).intersection(buffer.area);
        views::draw(&self.state, &Album::new(0), area, buffer);
    }

    /// The screen as text, in the size it had; of a larger one than terminals have, a part.
    pub fn text(&self) -> String {
        let (width, height) = self.state.size;
        let (width, height) = (width.min(LARGEST.width), height.min(LARGEST.height));
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        self.draw(&mut buffer);
        widgets::text_of(&buffer)
    }

    /// Events played, and all there are.
    pub fn position(&self) -> (usize, usize) {
        (self.played, self.all)
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Key(_) => "key",
        Event::Paste(_) => "paste",
        Event::Mouse(_) => "mouse",
        Event::Resize { .. } => "resize",
        Event::Second { .. } => "second",
        Event::Agents(_) => "agents",
        Event::Fetched { .. } => "fetched",
        Event::Done { .. } => "done",
        Event::Ordered { .. } => "ordered",
        Event::Picture { .. } => "picture",
        Event::Note { .. } => "note",
    }
}

enum Told {
    Key(Key),
    Resized(Size),
    Continued,
    End(u8),
}

/// Plays a recording on the terminal: space stops and goes on, n plays one event, + and - change the
/// pace, q ends.
///
/// # Errors
/// When there is no terminal, or it cannot be written to.
pub fn watch(recording: Recording) -> anyhow::Result<u8> {
    let can = Capabilities::from_env();
    let mut guard = TerminalGuard::enter(Options::default())?;
    let mut screen = Screen::new(guard.output()?, term::size());
    let (send, told) = mpsc::sync_channel(64);
    listen(&can, &send)?;
    let mut player = Player::new(recording);
    let (mut pace, mut stopped, mut last) = (1, false, "");
    loop {
        screen.draw(|area, buffer| {
            player.draw(buffer);
            status(&player, (PACES[pace], stopped, last), area, buffer);
        })?;
        let due = Instant::now() + Duration::from_secs_f64(1.0 / PACES[pace]);
        let wait =
            if stopped { Duration::from_secs(3_600) } else { due.saturating_duration_since(Instant::now()) };
        match told.recv_timeout(wait) {
            Ok(Told::Key(key)) => match key.to_string().as_str() {
                "q" | "ctrl-c" | "esc" => return Ok(0),
                "space" => stopped = !stopped,
                "n" | "right" => {
                    stopped = true;
                    last = player.step().unwrap_or("the end");
                }
                "+" => pace = (pace + 1).min(PACES.len() - 1),
                "-" => pace = pace.saturating_sub(1),
                "end" | "G" => player.play_to(usize::MAX),
                _ => {}
            },
            Ok(Told::Resized(size)) => screen.resize(size),
            Ok(Told::Continued) => {
                guard.resume()?;
                screen.repaint();
            }
            Ok(Told::End(code)) => return Ok(code),
            Err(mpsc::RecvTimeoutError::Timeout) if stopped => {}
            // A second of the recording: all up to its tick.
            Err(mpsc::RecvTimeoutError::Timeout) => loop {
                match player.step() {
                    Some("second") => break,
                    Some(played) => last = played,
                    None => {
                        stopped = true;
                        last = "the end";
                        break;
                    }
                }
            },
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(term::GONE),
        }
    }
}

fn status(player: &Player, (pace, stopped, last): (f64, bool, &str), area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let (played, all) = player.position();
    let word = if stopped { "stopped" } else { "playing" };
    let text = format!(" replay {played}/{all} {word} at {pace}× · {last} · space n + - q ");
    let style = player.state.theme.style(Role::Selected);
    widgets::put_right(buffer, area.x, area.bottom() - 1, area.width, &text, style);
}

fn listen(can: &Capabilities, send: &mpsc::SyncSender<Told>) -> anyhow::Result<()> {
    let signalled = send.clone();
    signals::listen(move |signal| {
        let told = match signal {
            signals::Signal::End { code } => Told::End(code),
            signals::Signal::Continued => Told::Continued,
            signals::Signal::Resized(size) => Told::Resized(size),
        };
        // Must not wait; what is lost here comes again, or ends the process after two seconds.
        let _ = signalled.try_send(told);
    })?;
    let typed = send.clone();
    input::listen(can.escape_delay(), move |event| match event {
        input::InputEvent::Key(key) => typed.send(Told::Key(Key::from(key))).is_ok(),
        input::InputEvent::Gone => typed.send(Told::End(term::GONE)).is_ok(),
        input::InputEvent::Paste(_) | input::InputEvent::Mouse(_) => true,
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::record::Recorder;
    use crate::tui::state::View;
    use crate::tui::testing::{DARK, at, birds, text, world};

    /// Plays a script as the loop would, recorded.
    fn recorded(events: impl IntoIterator<Item = Event>) -> (State, Recorder) {
        let mut state = world((100, 30), DARK);
        state.nav.jump(View::Models { place: birds() });
        let mut recorder = Recorder::new(&state);
        for event in events {
            recorder.take(&event, &state);
            update(&mut state, event);
        }
        (state, recorder)
    }

    #[test]
    fn a_session_comes_back_as_it_was() {
        let keys = ["j", "space", "j", "enter", "tab", "esc", "s", ":", "a", "tab"];
        let keys = keys.map(|key| Event::Key(key.parse().expect("a key")));
        let (state, recorder) = recorded(keys.into_iter().chain([Event::Second { now: at(700) }]));
        let bytes = recorder.dump().expect("written");
        let mut player = Player::new(Recording::parse(&bytes).expect("read"));
        let before = player.text();
        player.play_to(usize::MAX);
        assert_eq!((player.text(), player.position()), (text(&state), (11, 11)));
        assert_ne!(player.text(), before);
    }

    #[test]
    fn the_last_thousands_are_always_there() {
        let seconds = (0..23_456).map(|n| Event::Second { now: at(600 + n) });
        let (state, recorder) = recorded(seconds);
        let recording = Recording::parse(&recorder.dump().expect("written")).expect("read");
        assert!((5_000..=10_000).contains(&recording.events.len()), "{}", recording.events.len());
        let mut player = Player::new(recording);
        player.play_to(usize::MAX);
        assert_eq!(player.text(), text(&state));
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        let (_, recorder) = recorded([]);
        let whole = recorder.dump().expect("written");
        for bytes in [&b""[..], b"not a recording", &whole[..whole.len() / 2]] {
            assert!(Recording::parse(bytes).is_err());
        }
    }

    #[test]
    fn a_file_cannot_ask_for_a_screen_that_fills_the_memory() {
        let state = world((80, 24), DARK);
        let mut recorder = Recorder::new(&state);
        recorder.take(&Event::Resize { width: u16::MAX, height: u16::MAX }, &state);
        let mut player = Player::new(Recording::parse(&recorder.dump().expect("written")).expect("read"));
        assert_eq!(player.text().lines().count(), 24);
        player.play_to(1);
        assert_eq!(player.text().lines().count(), usize::from(LARGEST.height));
    }
}
