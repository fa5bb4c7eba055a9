//! Windows: the part of a version that an update takes.

use std::collections::BTreeMap;
use std::time::Duration;

use vigie_protocol::Time;
use vigie_protocol::dataset::DatasetImage;
use vigie_protocol::window::Window;

use super::balance::draw;
use super::changeset::find;
use crate::store::manifest::Manifest;

/// The images of `from` that are in the window, asked for at `asked`. `history` gives the versions of
/// the line with their times, newest first, from `from` itself on; it is read only as far back as the
/// window needs.
///
/// # Errors
/// Those of `history`.
pub fn select<E>(
    from: &Manifest,
    window: &Window,
    asked: Time,
    history: impl Iterator<Item = Result<(Time, Manifest), E>>,
) -> Result<Manifest, E> {
    let images = from.images();
    let chosen: Vec<DatasetImage> = match *window {
        Window::Last { images: wanted } => {
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
            let mut newest: Vec<(usize, DatasetImage)> = Vec::new();
            arrivals(images, history, |age, _, arrived| {
                newest.extend(arrived.into_iter().map(|image| (age, image.clone())));
                newest.len() < wanted
            })?;
            newest.sort_by_key(|(age, image)| (*age, image.image));
            newest.into_iter().take(wanted).map(|(_, image)| image).collect()
        }
        Window::Days { days } => {
            let since = asked.minus(Duration::from_secs(u64::from(days) * 24 * 3600));
            let mut chosen = Vec::new();
            arrivals(images, history, |_, at, arrived| {
                if at >= since {
                    chosen.extend(arrived.into_iter().cloned());
                }
                at >= since
            })?;
            chosen
        }
        Window::Reservoir { per_class, seed } => {
            let mut classes: BTreeMap<&str, Vec<&DatasetImage>> = BTreeMap::new();
            for image in images {
                classes.entry(&image.label).or_default().push(image);
            }
            let limit = usize::try_from(per_class).unwrap_or(usize::MAX);
            let sample = |mut class: Vec<&DatasetImage>| {
                class.sort_by_key(|image| draw(seed, image.image));
                class.into_iter().take(limit).cloned().collect::<Vec<_>>()
            };
            classes.into_values().flat_map(sample).collect()
        }
        Window::Unknown => Vec::new(),
    };
    Ok(Manifest::new(chosen))
}

/// Tells, version by version from the newest back, which of the images appeared in it and have been
/// in the line ever since, until `go_on` says no: how many versions ago, when, which.
fn arrivals<'a, E>(
    images: &'a [DatasetImage],
    mut history: impl Iterator<Item = Result<(Time, Manifest), E>>,
    mut go_on: impl FnMut(usize, Time, Vec<&'a DatasetImage>) -> bool,
) -> Result<(), E> {
    let mut there: Vec<&DatasetImage> = images.iter().collect();
    let Some((mut at, _)) = history.next().transpose()? else { return Ok(()) };
    let mut age = 0;
    for older in history {
        let (older_at, older) = older?;
        let (before, arrived) =
            there.into_iter().partition(|image| find(older.images(), image.image).is_some());
        if !go_on(age, at, arrived) {
            return Ok(());
        }
        (there, at, age) = (before, older_at, age + 1);
    }
    go_on(age, at, there);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use vigie_protocol::dataset::Split;

    use super::super::changeset::samples::image;
    use super::*;

    const DAY: i64 = 24 * 3600 * 1_000_000;

    /// Versions a day apart, the first on day 1, in the order they were made.
    fn line(versions: &[&[(&str, &str)]]) -> Vec<(Time, Manifest)> {
        let version = |(day, images): (i64, &&[(&str, &str)])| {
            let images = images.iter().map(|&(name, label)| image(name, label, Split::Train));
            (Time::from_micros(day * DAY), Manifest::new(images.collect()))
        };
        (1..).zip(versions).map(version).collect()
    }

    fn names(line: &[(Time, Manifest)], window: Window, day: i64) -> Vec<String> {
        let (_, from) = line.last().expect("a version");
        let history = line.iter().rev().cloned().map(Ok::<_, Infallible>);
        let Ok(chosen) = select(from, &window, Time::from_micros(day * DAY), history);
        let mut names: Vec<String> = chosen.images().iter().map(|image| image.origin.clone()).collect();
        names.sort();
        names
    }

    fn sample() -> Vec<(Time, Manifest)> {
        line(&[
            &[("1", "owl"), ("2", "owl"), ("9", "jay")],
            &[("1", "owl"), ("2", "owl"), ("3", "jay")],
            // 9 left and came again; 2 got another label, which makes it no newer.
            &[("1", "owl"), ("2", "jay"), ("3", "jay"), ("4", "owl"), ("9", "jay")],
        ])
    }

    #[test]
    fn the_last_images_are_those_that_appeared_last() {
        let line = sample();
        for (images, expected) in [
            (0, &[][..]),
            (2, &["jay/9", "owl/4"]),
            (3, &["jay/3", "jay/9", "owl/4"]),
            (5, &["jay/2", "jay/3", "jay/9", "owl/1", "owl/4"]),
            (u64::MAX, &["jay/2", "jay/3", "jay/9", "owl/1", "owl/4"]),
        ] {
            assert_eq!(names(&line, Window::Last { images }, 3), expected, "{images}");
        }
        assert_eq!(names(&line, Window::Last { images: 1 }, 3).len(), 1);
    }

    #[test]
    fn days_count_back_from_the_asking() {
        let line = sample();
        assert_eq!(names(&line, Window::Days { days: 0 }, 3), ["jay/9", "owl/4"]);
        assert_eq!(names(&line, Window::Days { days: 1 }, 3), ["jay/3", "jay/9", "owl/4"]);
        assert_eq!(names(&line, Window::Days { days: 2 }, 3).len(), 5);
        assert!(names(&line, Window::Days { days: 1 }, 9).is_empty());
        assert_eq!(names(&line, Window::Days { days: u32::MAX }, 9).len(), 5);
    }

    #[test]
    fn a_reservoir_is_a_sample_of_each_class_that_changes_as_little_as_it_can() {
        let images = |n: usize| {
            let label = |i: usize| if i.is_multiple_of(3) { "jay" } else { "owl" };
            let images: Vec<DatasetImage> =
                (0..n).map(|i| image(&i.to_string(), label(i), Split::Train)).collect();
            vec![(Time::from_micros(DAY), Manifest::new(images))]
        };
        let draw = |n, per_class, seed| names(&images(n), Window::Reservoir { per_class, seed }, 1);
        let sample = draw(90, 10, 1);
        assert_eq!(sample.iter().filter(|name| name.starts_with("jay")).count(), 10);
        assert_eq!(sample.len(), 20);
        assert_eq!(draw(90, 10, 1), sample);
        assert_ne!(draw(90, 10, 2), sample);
        assert_eq!(draw(90, 1_000, 1).len(), 90);
        // Ten more images: each takes a place with probability 10/33 or 10/67.
        let kept = draw(100, 10, 1).iter().filter(|name| sample.contains(name)).count();
        assert!(kept >= 14, "{kept} of 20 stayed");
    }

    #[test]
    fn the_past_is_read_no_further_than_it_must_be() {
        let line = sample();
        let (_, from) = line.last().expect("a version");
        let mut read = 0;
        let history = line.iter().rev().cloned().inspect(|_| read += 1).map(Ok::<_, Infallible>);
        let Ok(chosen) = select(from, &Window::Last { images: 2 }, Time::default(), history);
        assert_eq!((chosen.images().len(), read), (2, 2));
        let broken = std::iter::once(Err("gone"));
        assert_eq!(select(from, &Window::Last { images: 1 }, Time::default(), broken), Err("gone"));
    }
}
