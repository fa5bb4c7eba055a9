//! The part of a version that an update takes.

use clap::Args;
use vigie_protocol::window::Window;

/// Which images; all of them when nothing is named. An image is as old as the version in which it
/// appeared.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Window")]
pub struct WindowOptions {
    /// Only the newest images, so many
    #[arg(long, value_name = "IMAGES", conflicts_with_all = ["days", "per_class"])]
    last: Option<u64>,
    /// Only images of the last days, so many
    #[arg(long, value_name = "DAYS", conflicts_with = "per_class")]
    days: Option<u32>,
    /// Only a random sample of each class, so many images at most
    #[arg(long, value_name = "IMAGES")]
    per_class: Option<u64>,
    /// Decides the sample
    #[arg(long, default_value_t = 1, requires = "per_class")]
    seed: u64,
}

impl WindowOptions {
    /// The window, if one is wanted.
    pub fn window(self) -> Option<Window> {
        let Self { last, days, per_class, seed } = self;
        last.map(|images| Window::Last { images })
            .or(days.map(|days| Window::Days { days }))
            .or(per_class.map(|per_class| Window::Reservoir { per_class, seed }))
    }
}
