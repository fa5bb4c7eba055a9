//! Images whose quality features lie far from those of the others.
//!
//! A feature's distance from the median is told in robust standard deviations: 1.4826 times the
//! median absolute deviation, or 1.2533 times the mean one where more than half of the values are
//! equal (Iglewicz and Hoaglin, 1993). Sharpness, size and aspect are judged by their logarithms,
//! because they are ratios.

use vigie_protocol::dataset::Quality;
use vigie_protocol::review::Feature;

/// Robust standard deviations from which on a value is an outlier: of a normal distribution 1 in
/// 16,000 images has such a value in a feature.
pub const FAR: f32 = 4.0;
/// Images below which nothing is said.
pub const FEWEST: usize = 30;

/// A feature of an image that lies far out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlier {
    /// Which.
    pub feature: Feature,
    /// Its value, as people know it.
    pub value: f32,
    /// Its distance from the median in robust standard deviations; negative below.
    pub z: f32,
}

/// What is usual, feature by feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Usual {
    features: Vec<(Feature, Centre)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Centre {
    median: f32,
    deviation: f32,
}

impl Usual {
    /// What is usual among images; nothing for features that too few have or all have alike.
    pub fn of<'a>(qualities: impl Iterator<Item = &'a Quality> + Clone) -> Self {
        let centre = |&feature: &Feature| {
            let values = qualities.clone().filter_map(|quality| judged(feature, quality)).collect();
            Some((feature, Centre::of(values)?))
        };
        Self { features: FEATURES.iter().filter_map(centre).collect() }
    }

    /// The features of an image that lie far out, the farthest first.
    pub fn outliers(&self, quality: &Quality) -> Vec<Outlier> {
        let far = |&(feature, Centre { median, deviation }): &(Feature, Centre)| {
            let z = (judged(feature, quality)? - median) / deviation;
            let far = z <= -FAR || z >= FAR && !one_sided(feature);
            far.then(|| Outlier { feature, value: value(feature, quality).unwrap_or(0.0), z })
        };
        let mut outliers: Vec<Outlier> = self.features.iter().filter_map(far).collect();
        outliers.sort_by(|a, b| b.z.abs().total_cmp(&a.z.abs()));
        outliers
    }
}

const FEATURES: [Feature; 10] = [
    Feature::Brightness,
    Feature::Contrast,
    Feature::Sharpness,
    Feature::Size,
    Feature::Aspect,
    Feature::Red,
    Feature::Green,
    Feature::Blue,
    Feature::Saturation,
    Feature::JpegQuality,
];

/// Whether only small values are of interest: nobody minds a large picture.
fn one_sided(feature: Feature) -> bool {
    matches!(feature, Feature::Size | Feature::JpegQuality)
}

/// A feature's value, as people know it.
fn value(feature: Feature, quality: &Quality) -> Option<f32> {
    let [red, green, blue] = quality.channel_means;
    Some(match feature {
        Feature::Brightness => quality.brightness,
        Feature::Contrast => quality.contrast,
        Feature::Sharpness => quality.sharpness,
        Feature::Size => quality.width as f32 * quality.height as f32,
        Feature::Aspect => quality.aspect(),
        Feature::Red => red,
        Feature::Green => green,
        Feature::Blue => blue,
        Feature::Saturation => quality.saturation?,
        Feature::JpegQuality => f32::from(quality.jpeg_quality?),
        Feature::Unknown => return None,
    })
}

/// The number by which a feature is judged.
fn judged(feature: Feature, quality: &Quality) -> Option<f32> {
    let value = value(feature, quality)?;
    let judged = match feature {
        Feature::Sharpness => (1.0 + value).ln(),
        Feature::Size | Feature::Aspect => value.max(f32::MIN_POSITIVE).ln(),
        _ => value,
    };
    judged.is_finite().then_some(judged)
}

impl Centre {
    fn of(mut values: Vec<f32>) -> Option<Self> {
        if values.len() < FEWEST {
            return None;
        }
        let median = median(&mut values);
        let mut distances: Vec<f32> = values.iter().map(|value| (value - median).abs()).collect();
        let mean =
            distances.iter().map(|&distance| f64::from(distance)).sum::<f64>() / distances.len() as f64;
        let deviation = match self::median(&mut distances) {
            0.0 => 1.2533 * mean as f32,
            middle => 1.4826 * middle,
        };
        (deviation > 0.0).then_some(Self { median, deviation })
    }
}

/// The upper median; the values get another order.
fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(n: u32) -> Quality {
        let share = n as f32 / 100.0;
        Quality {
            width: 400 + n,
            height: 300,
            brightness: 0.4 + 0.2 * share,
            contrast: 0.2 + 0.05 * share,
            sharpness: 300.0 + 500.0 * share,
            channel_means: [0.3 + 0.3 * share; 3],
            saturation: Some(0.2 + 0.2 * share),
            jpeg_quality: Some(80 + (n % 15) as u8),
            ..Quality::default()
        }
    }

    fn found(usual: &Usual, quality: &Quality) -> String {
        let one = |outlier: Outlier| format!("{} {:.1} ({:.0})", outlier.feature, outlier.value, outlier.z);
        usual.outliers(quality).into_iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_lies_far_out_is_named() {
        let all: Vec<Quality> = (0..100).map(quality).collect();
        let usual = Usual::of(all.iter());
        for quality in &all {
            assert_eq!(found(&usual, quality), "");
        }
        let usually = quality(50);
        let black = Quality { brightness: 0.0, contrast: 0.0, sharpness: 0.0, ..usually.clone() };
        assert_eq!(found(&usual, &black), "sharpness 0.0 (-19), contrast 0.0 (-12), brightness 0.0 (-7)");
        let wide = Quality { width: 4000, height: 250, ..usually.clone() };
        assert_eq!(found(&usual, &wide), "aspect 16.0 (28)", "but not its size");
        let small = Quality { width: 40, height: 30, jpeg_quality: Some(5), ..usually.clone() };
        assert_eq!(found(&usual, &small), "size 1200.0 (-57), JPEG quality 5.0 (-14)");
        let no_jpeg = Quality { jpeg_quality: None, saturation: None, ..usually };
        assert_eq!(found(&usual, &no_jpeg), "");
    }

    #[test]
    fn what_is_alike_or_rare_tells_nothing() {
        let few: Vec<Quality> = (0..FEWEST as u32 - 1).map(quality).collect();
        let odd = Quality { brightness: 1.0, ..Quality::default() };
        assert_eq!(found(&Usual::of(few.iter()), &odd), "");
        let same = vec![quality(1); 100];
        assert_eq!(found(&Usual::of(same.iter()), &odd), "");
        // Most are alike: the mean deviation stands in.
        let mut most = vec![quality(1); 99];
        most.push(quality(99));
        let usual = Usual::of(most.iter());
        assert!(found(&usual, &quality(99)).starts_with("brightness"), "{}", found(&usual, &quality(99)));
        assert_eq!(found(&usual, &quality(1)), "");
        // What no camera makes must not make anything fail.
        let mad = Quality { brightness: f32::NAN, sharpness: f32::INFINITY, ..Quality::default() };
        let _ = found(&Usual::of(vec![mad.clone(); 50].iter()), &mad);
    }
}
