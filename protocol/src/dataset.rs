//! Dataset versions and the change-sets that make them.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::classes::Rename;
use crate::fingerprint::Fingerprint;
use crate::ids::parse_number;
use crate::page::Page;
use crate::review::FindingCounts;
use crate::window::Window;
use crate::{ChangeSetId, Hash, ProjectName, Time};

/// A line of dataset versions. Each project has three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lineage {
    /// What was downloaded or imported.
    Source,
    /// Images that users sent, with the labels they gave.
    Production,
    /// What models train on.
    Reference,
}

impl Lineage {
    /// All three.
    pub const ALL: [Lineage; 3] = [Lineage::Source, Lineage::Production, Lineage::Reference];

    /// The word used in commands and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Lineage::Source => "source",
            Lineage::Production => "production",
            Lineage::Reference => "reference",
        }
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Lineage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Lineage::ALL
            .into_iter()
            .find(|lineage| lineage.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not a lineage; they are source, production, reference"))
    }
}

/// One dataset version of a project. Written `reference@v3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DatasetRef {
    /// The line.
    pub lineage: Lineage,
    /// Its number in the line, from 1.
    pub number: u32,
}

impl fmt::Display for DatasetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@v{}", self.lineage, self.number)
    }
}

impl FromStr for DatasetRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (lineage, number) = text
            .split_once('@')
            .ok_or_else(|| format!("{text:?} is not a dataset version such as reference@v3"))?;
        Ok(Self {
            lineage: lineage.parse()?,
            number: parse_number(number).ok_or_else(|| format!("{number:?} is not a version such as v3"))?,
        })
    }
}

/// Where an image serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Fits the weights.
    Train,
    /// Chooses the checkpoint and the temperature.
    Valid,
    /// Held out: judges the model, nothing else.
    Test,
}

impl Split {
    /// All three.
    pub const ALL: [Split; 3] = [Split::Train, Split::Valid, Split::Test];
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Split::Train => "train",
            Split::Valid => "valid",
            Split::Test => "test",
        })
    }
}

/// What an image is like, measured once at import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Pixels across, after orientation.
    pub width: u32,
    /// Pixels down, after orientation.
    pub height: u32,
    /// Encoded size.
    pub bytes: u64,
    /// Mean luma (Rec. 601), 0–1.
    pub brightness: f32,
    /// Standard deviation of luma, 0–0.5.
    pub contrast: f32,
    /// Variance of the 4-neighbour Laplacian of luma (0–255): low is blurred.
    pub sharpness: f32,
    /// Mean of each channel (R, G, B), 0–1.
    pub channel_means: [f32; 3],
    /// Mean distance between the strongest and the weakest channel, over the mean of the strongest:
    /// 0 is grey, 1 is pure colour. Absent when an older build measured it.
    #[serde(default)]
    pub saturation: Option<f32>,
    /// Quality of the JPEG compression (1–100, the scale of the IJG), by its quantisation tables.
    /// Absent for other formats and where an older build measured it.
    #[serde(default)]
    pub jpeg_quality: Option<u8>,
}

impl Quality {
    /// Width over height.
    pub fn aspect(&self) -> f32 {
        self.width as f32 / self.height.max(1) as f32
    }
}

/// One image of a dataset version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetImage {
    /// The blob with the original bytes.
    pub image: Hash,
    /// Its class.
    pub label: String,
    /// Where it serves.
    pub split: Split,
    /// Where it came from: the path inside the imported folder or archive.
    pub origin: String,
    /// What it is like.
    pub quality: Quality,
    /// Why it is in: `imported`, `from source@v2`.
    pub admission: String,
    /// What it belongs to (a patient, a burst): all of one group serve in one split.
    #[serde(default)]
    pub group: Option<String>,
    /// What it looks like; absent for flat pictures and where an older build imported it.
    #[serde(default)]
    pub fingerprint: Option<Fingerprint>,
    /// Columns of the table it came with; no text is empty.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl DatasetImage {
    /// An image of which no more is known.
    pub fn new(
        image: Hash,
        label: String,
        split: Split,
        origin: String,
        quality: Quality,
        admission: String,
    ) -> Self {
        let (group, fingerprint, metadata) = (None, None, BTreeMap::new());
        Self { image, label, split, origin, quality, admission, group, fingerprint, metadata }
    }
}

/// How many images of a class serve where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitCounts {
    /// In the train split.
    pub train: u64,
    /// In the valid split.
    pub valid: u64,
    /// In the test split.
    pub test: u64,
}

impl SplitCounts {
    /// In all three.
    pub fn total(&self) -> u64 {
        self.train + self.valid + self.test
    }

    /// How many are in one split.
    pub fn of(&self, split: Split) -> u64 {
        match split {
            Split::Train => self.train,
            Split::Valid => self.valid,
            Split::Test => self.test,
        }
    }

    /// The count of one split.
    pub fn of_mut(&mut self, split: Split) -> &mut u64 {
        match split {
            Split::Train => &mut self.train,
            Split::Valid => &mut self.valid,
            Split::Test => &mut self.test,
        }
    }
}

/// An immutable, numbered dataset version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetVersion {
    /// Which.
    pub dataset: DatasetRef,
    /// The blob with its manifest; equal manifests are the same dataset.
    pub manifest: Hash,
    /// When it was accepted.
    pub created: Time,
    /// By whom.
    pub by: String,
    /// The change-set it came from.
    pub change_set: ChangeSetId,
    /// Images per class and split.
    pub classes: BTreeMap<String, SplitCounts>,
    /// Bytes of all originals.
    pub bytes: u64,
    /// The part of another version that it was updated from, when not from all of it.
    #[serde(default)]
    pub window: Option<Window>,
}

impl DatasetVersion {
    /// Images in all classes.
    pub fn images(&self) -> u64 {
        self.classes.values().map(SplitCounts::total).sum()
    }
}

/// How large the images of one class are, as their originals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassSizes {
    /// The class.
    pub class: String,
    /// Its images.
    pub images: u64,
    /// Pixels across.
    pub width: Spread,
    /// Pixels down.
    pub height: Spread,
    /// Encoded bytes.
    pub bytes: Spread,
}

/// Where numbers lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// The smallest.
    pub least: u64,
    /// The middle one; of two the lower.
    pub median: u64,
    /// The largest.
    pub most: u64,
}

/// Whether a change-set was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeSetState {
    /// Awaits review.
    Proposed,
    /// Became a version.
    Accepted,
    /// Was turned down.
    Rejected,
    /// A state this build does not know.
    #[serde(other)]
    Unknown,
}

/// What a change-set does to one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassChange {
    /// Images that enter.
    pub added: u64,
    /// Images that leave.
    pub removed: u64,
    /// Images that get this label in place of another.
    pub relabelled_in: u64,
    /// Images that lose this label for another.
    pub relabelled_out: u64,
    /// Images whose split changes.
    pub moved: u64,
}

impl<'a> Sum<&'a ClassChange> for ClassChange {
    fn sum<I: Iterator<Item = &'a ClassChange>>(classes: I) -> Self {
        classes.fold(Self::default(), |sum, class| {
            let &Self { added, removed, relabelled_in, relabelled_out, moved } = class;
            Self {
                added: sum.added.saturating_add(added),
                removed: sum.removed.saturating_add(removed),
                relabelled_in: sum.relabelled_in.saturating_add(relabelled_in),
                relabelled_out: sum.relabelled_out.saturating_add(relabelled_out),
                moved: sum.moved.saturating_add(moved),
            }
        })
    }
}

/// What became of one image between two dataset versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Only the later version has it.
    Added,
    /// Only the earlier version has it.
    Removed,
    /// Its label is another; its split may be another too.
    Relabelled,
    /// Its label is the same, its split is another.
    Moved,
    /// A kind this build does not know.
    #[serde(other)]
    Unknown,
}

/// What an image is in a dataset version, and where it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Its class.
    pub label: String,
    /// Its split.
    pub split: Split,
}

/// One image that two dataset versions do not hold alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageChange {
    /// The blob with the original bytes.
    pub image: Hash,
    /// What became of it.
    pub kind: ChangeKind,
    /// Its placement in the earlier version; absent when it was added.
    #[serde(default)]
    pub from: Option<Placement>,
    /// Its placement in the later version; absent when it was removed.
    #[serde(default)]
    pub to: Option<Placement>,
    /// Where it came from, as the version says that holds it, the later one before the earlier.
    pub origin: String,
}

/// How one dataset version differs from another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetDifference {
    /// What happens to each class that changes, whichever page of images this is.
    pub classes: BTreeMap<String, ClassChange>,
    /// The images that changed, by hash.
    pub images: Page<ImageChange>,
}

/// A file that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Path inside the import.
    pub origin: String,
    /// Why, for people.
    pub reason: String,
}

/// A proposed next dataset version: reviewed, then accepted or rejected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// Its identity.
    pub id: ChangeSetId,
    /// Its project.
    pub project: ProjectName,
    /// The line it would lengthen.
    pub lineage: Lineage,
    /// The version it was made against; accepting needs this still to be the newest.
    pub base: Option<u32>,
    /// Where it stands.
    pub state: ChangeSetState,
    /// What proposed it: `import of products.zip`, `update from source@v2`.
    pub origin: String,
    /// When.
    pub created: Time,
    /// By whom.
    pub by: String,
    /// The blob with the manifest it would make.
    pub manifest: Hash,
    /// What it does to each class that it touches.
    pub classes: BTreeMap<String, ClassChange>,
    /// Images in the version it would make, per class and split.
    pub result: BTreeMap<String, SplitCounts>,
    /// Bytes of all originals in the version it would make.
    pub bytes: u64,
    /// Images the import held that the base already has.
    pub unchanged: u64,
    /// Files that were byte for byte the same as another of the same import and label.
    pub duplicates: u64,
    /// Files left out. At most 1,000 are listed here; `quarantined` has the true number.
    pub quarantine: Vec<Quarantined>,
    /// How many files were left out.
    pub quarantined: u64,
    /// Images that got another label than they came with, by label. At most 1,000.
    #[serde(default)]
    pub renames: Vec<Rename>,
    /// The part of another version that it takes, when not all of it.
    #[serde(default)]
    pub window: Option<Window>,
    /// How many of its images deserve a second look.
    #[serde(default)]
    pub findings: FindingCounts,
    /// What of it was not taken when a part of it was accepted; `manifest`, `classes`, `result` and
    /// `bytes` are then those of the part.
    #[serde(default)]
    pub left: BTreeMap<String, ClassChange>,
    /// The version it became.
    pub accepted_as: Option<u32>,
    /// Who decided, and why.
    pub decided: Option<Decision>,
    /// Rises with every change.
    pub generation: u64,
}

impl ChangeSet {
    /// Sum of what it does to all classes.
    pub fn totals(&self) -> ClassChange {
        self.classes.values().sum()
    }
}

/// Who decided something, when, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// By whom.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}
