//! What all agents of a fleet share: projects, their classes and images. Nothing here changes.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use vigie_protocol::dataset::{ClassChange, DatasetImage, Quality, Split, SplitCounts};
use vigie_protocol::fingerprint::Fingerprint;
use vigie_protocol::{Hash, ProjectName};

use super::dice::{below, hash, mix, share};
use super::parts::{Part, PartId, Parts};
use super::pictures::{Pictures, SIZE};
use super::{FleetOptions, words};

/// Images a class in projects of many classes, and of few.
const IMAGES_OF_MANY: usize = 40;
const IMAGES_OF_FEW: usize = 300;
/// From so many classes on a project has many.
const MANY: usize = 100;

/// Dataset contents whose counts are remembered.
const COUNTS_KEPT: usize = 64;

/// The fleet's common ground.
#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) projects: Vec<Arc<Plan>>,
}

impl World {
    pub(super) fn new(options: &FleetOptions) -> Self {
        let plan = |(index, project): (u64, &super::ProjectOptions)| {
            Arc::new(Plan::new(project.name.clone(), project.classes, options.seed, index))
        };
        Self { seed: options.seed, projects: (0..).zip(&options.projects).map(plan).collect() }
    }
}

/// One project as every agent has it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: ProjectName,
    pub(super) index: u64,
    pub(super) seed: u64,
    /// Sorted: the order of a model's logits.
    pub(super) classes: Vec<String>,
    /// How many images there are in all.
    pub(super) images: usize,
    pictures: OnceLock<Pictures>,
    counts: Mutex<HashMap<Content, Arc<Counts>>>,
    parts: Parts,
}

/// Images of each class in each split.
pub(super) type Counts = BTreeMap<String, SplitCounts>;

/// Which of a project's images are in a dataset version, and under which labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Content {
    /// The first image.
    pub(super) from: usize,
    /// Past the last image.
    pub(super) to: usize,
    /// One image in [`RELABELLED`] below this one has the label of the next class.
    pub(super) relabelled: usize,
    /// What is spelt out of it: a part of a change-set was taken.
    pub(super) part: Option<PartId>,
}

fn has(part: Option<&Part>, image: usize) -> bool {
    part.and_then(|part| part.label(image)).is_none_or(|label| label.is_some())
}

/// See [`Content::relabelled`].
const RELABELLED: usize = 97;

impl Content {
    /// The images from one to another under their own labels.
    pub(super) fn between(from: usize, to: usize) -> Self {
        Self { from, to, relabelled: 0, part: None }
    }
}

impl Plan {
    /// The `index`-th project of a fleet, of at least two classes.
    fn new(name: ProjectName, classes: usize, seed: u64, index: u64) -> Self {
        let seed = mix(seed, index);
        let classes = classes.max(2);
        let each = if classes >= MANY { IMAGES_OF_MANY } else { IMAGES_OF_FEW };
        Self {
            name,
            index,
            seed,
            classes: words::classes(classes, seed),
            images: classes * each,
            pictures: OnceLock::new(),
            counts: Mutex::default(),
            parts: Parts::default(),
        }
    }

    /// A project that somebody creates while the simulation runs.
    pub(super) fn of_few(name: ProjectName, seed: u64, index: u64) -> Self {
        Self::new(name, 3, seed, index)
    }

    /// The pictures, made at the first call.
    pub(super) fn pictures(&self) -> &Pictures {
        self.pictures.get_or_init(|| Pictures::new(self.seed, self.images))
    }

    /// The share `0..=1` of all images, none relabelled.
    pub(super) fn first(&self, share: f64) -> Content {
        Content::between(0, (self.images as f64 * share.clamp(0.0, 1.0)) as usize)
    }

    /// A content that is spelt out.
    pub(super) fn spelt_out(&self, part: Part) -> Content {
        let Range { start, end } = part.range();
        Content { part: Some(self.parts.keep(part)), ..Content::between(start, end) }
    }

    /// What is spelt out of a content.
    fn part(&self, content: Content) -> Option<Arc<Part>> {
        self.parts.get(content.part?)
    }

    /// The images of a content.
    pub(super) fn images(&self, content: Content) -> impl Iterator<Item = usize> + use<> {
        let part = self.part(content);
        (content.from..content.to).filter(move |image| has(part.as_deref(), *image))
    }

    pub(super) fn has(&self, content: Content, image: usize) -> bool {
        (content.from..content.to).contains(&image) && has(self.part(content).as_deref(), image)
    }

    /// How many images a content has.
    pub(super) fn size(&self, content: Content) -> u64 {
        self.counts(content).values().map(SplitCounts::total).sum()
    }

    /// The class of an image: most are shared out evenly, a third falls where it falls.
    pub(super) fn label(&self, content: Content, image: usize) -> usize {
        if let Some(Some(class)) = self.part(content).and_then(|part| part.label(image)) {
            return class;
        }
        let bits = mix(self.seed ^ 1, image as u64);
        let class = if bits.is_multiple_of(3) {
            below(mix(bits, 1), self.classes.len())
        } else {
            image % self.classes.len()
        };
        let relabelled = image < content.relabelled && image.is_multiple_of(RELABELLED);
        if relabelled { (class + 1) % self.classes.len() } else { class }
    }

    /// The split of an image: decided by the image, the same in every version.
    pub(super) fn split(&self, image: usize) -> Split {
        match mix(self.seed ^ 2, image as u64) % 100 {
            0..70 => Split::Train,
            70..85 => Split::Valid,
            _ => Split::Test,
        }
    }

    /// Images of each class and split.
    pub(super) fn counts(&self, content: Content) -> Arc<Counts> {
        let mut known = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = known.get(&content) {
            return Arc::clone(counts);
        }
        let mut by_class = vec![SplitCounts::default(); self.classes.len()];
        for image in self.images(content) {
            *by_class[self.label(content, image)].of_mut(self.split(image)) += 1;
        }
        let named = self.classes.iter().cloned().zip(by_class).filter(|(_, counts)| counts.total() > 0);
        let counts = Arc::new(named.collect::<Counts>());
        if known.len() >= COUNTS_KEPT {
            known.clear();
        }
        known.insert(content, Arc::clone(&counts));
        counts
    }

    /// What becomes of each class when one content follows another.
    pub(super) fn changes(&self, before: Content, after: Content) -> BTreeMap<String, ClassChange> {
        let mut changes = vec![ClassChange::default(); self.classes.len()];
        for image in before.from.min(after.from)..before.to.max(after.to) {
            let label = |content: Content| self.has(content, image).then(|| self.label(content, image));
            match (label(before), label(after)) {
                (None, Some(class)) => changes[class].added += 1,
                (Some(class), None) => changes[class].removed += 1,
                (Some(old), Some(new)) if old != new => {
                    changes[old].relabelled_out += 1;
                    changes[new].relabelled_in += 1;
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        let touched = self.classes.iter().cloned().zip(changes);
        touched.filter(|(_, change)| *change != ClassChange::default()).collect()
    }

    /// The hash of the manifest of a content.
    pub(super) fn manifest(&self, content: Content) -> Hash {
        let Content { from, to, relabelled, part: _ } = content;
        let rule = hash(mix(self.seed ^ 3, from as u64), mix(to as u64, relabelled as u64));
        match self.part(content) {
            None => rule,
            Some(part) => Hash::of(format!("{rule} {:?}", part.labels).as_bytes()),
        }
    }

    /// Bytes of all originals.
    pub(super) fn bytes(&self, content: Content) -> u64 {
        self.images(content).map(|image| self.quality(image).bytes).sum()
    }

    /// One row of a dataset version.
    pub(super) fn image(&self, content: Content, image: usize) -> DatasetImage {
        let label = self.classes[self.label(content, image)].clone();
        let bits = mix(self.seed ^ 4, image as u64);
        let origin = match image % 113 {
            11 => format!("odd/{}", words::hostile(bits)),
            _ => format!("{}/{image:06}.jpg", label.to_lowercase().replace(' ', "-")),
        };
        let admission = if image.is_multiple_of(5) { "from source@v2" } else { "imported" }.to_owned();
        let hash = self.pictures().hash(image);
        DatasetImage {
            group: image.is_multiple_of(7).then(|| format!("burst {}", image / 21)),
            fingerprint: Fingerprint::new(mix(self.seed ^ 6, image as u64)),
            ..DatasetImage::new(hash, label, self.split(image), origin, self.quality(image), admission)
        }
    }

    /// What an image is like.
    pub(super) fn quality(&self, image: usize) -> Quality {
        let bits = mix(self.seed ^ 5, image as u64);
        let value = |n: u64| share(mix(bits, n)) as f32;
        Quality {
            width: SIZE.0,
            height: SIZE.1,
            bytes: 900 + bits % 800,
            brightness: 0.2 + 0.6 * value(1),
            contrast: 0.1 + 0.3 * value(2),
            sharpness: 20.0 + 900.0 * value(3),
            channel_means: [value(4), value(5), value(6)],
            saturation: Some(value(7)),
            jpeg_quality: Some(70 + (bits % 30) as u8),
        }
    }
}
