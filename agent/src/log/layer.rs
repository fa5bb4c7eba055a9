//! How what the agent logs becomes a line of its memory.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use vigie_protocol::Time;

use super::LogRing;
use super::ring::MAX_TEXT;

impl<S: Subscriber> Layer<S> for LogRing {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let Said { message: Bounded(mut text), fields: Bounded(fields), target } = said;
        if text.is_empty() {
            text.push_str(fields.trim_start());
        } else {
            text.push_str(&fields);
        }
        let metadata = event.metadata();
        let level = metadata.level().as_str().to_ascii_lowercase();
        self.push(Time::now(), &level, target.unwrap_or_else(|| metadata.target().to_owned()), text);
    }
}

/// An event's message, and after it the fields: ` name=value` each.
#[derive(Default)]
struct Said {
    message: Bounded,
    fields: Bounded,
    /// Whose words they are, for what came through the `log` facade.
    target: Option<String>,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.target = Some(value.to_owned()),
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // `Bounded` takes everything; what a value's own formatting fails at is left as far as it came.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // What the facade says about where in the code it was.
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// Text that is written to without end and keeps the beginning.
#[derive(Default)]
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TEXT.saturating_sub(self.0.len());
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What the memory holds after `say`, under a filter.
    fn kept(filter: &str, say: impl FnOnce()) -> Vec<(String, String, String)> {
        let ring = LogRing::default();
        let subscriber = tracing_subscriber::registry().with(EnvFilter::new(filter)).with(ring.clone());
        tracing::subscriber::with_default(subscriber, say);
        let lines = ring.page(7, None, 100).lines;
        lines.into_iter().map(|line| (line.level, line.target, line.text)).collect()
    }

    #[test]
    fn events_become_lines() {
        let lines = kept("trace", || {
            tracing::info!("ready");
            tracing::warn!(left = 2, name = "a b", shown = %"plain", "changes were cut off");
            tracing::error!(target: "elsewhere", error = "no space left");
            tracing::debug!("two\nlines \u{1b}[31m");
            tracing::trace!(log.line = 3, "quiet");
        });
        let here = module_path!();
        let expected = [
            ("info", here, "ready"),
            ("warn", here, "changes were cut off left=2 name=\"a b\" shown=plain"),
            ("error", "elsewhere", "error=\"no space left\""),
            ("debug", here, "two\nlines \u{1b}[31m"),
            ("trace", here, "quiet"),
        ];
        let expected = expected.map(|(level, target, text)| (level.into(), target.into(), text.into()));
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_is_filtered_out_is_not_kept() {
        let lines = kept("warn,quiet=off", || {
            tracing::info!("no");
            tracing::error!(target: "quiet", "no");
            tracing::error!("yes");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].2, "yes");
    }

    #[test]
    fn what_has_no_end_is_cut() {
        struct Endless;
        impl Debug for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (0..10_000).try_for_each(|_| f.write_str("é endless "))
            }
        }
        let lines = kept("info", || tracing::info!(value = ?Endless, "long"));
        assert!(lines[0].2.starts_with("long value=é endless ") && lines[0].2.len() <= MAX_TEXT);
    }
}
