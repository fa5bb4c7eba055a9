//! How one manifest differs from another: by class, and image by image.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use vigie_protocol::Hash;
use vigie_protocol::dataset::{
    ChangeKind, ClassChange, DatasetDifference, DatasetImage, ImageChange, Placement, Split,
};
use vigie_protocol::page::{Page, PageCursor};

use super::columns::Columns;
use super::{Content, Manifest, content, damaged};
use crate::store::{Result, StoreError};

/// What happens to each class on the way from `a` to `b`; classes with no change are left out.
///
/// An image whose label changes counts at both labels; if its split changes too, it counts as
/// moved at the new one.
pub fn class_changes(a: &Manifest, b: &Manifest) -> BTreeMap<String, ClassChange> {
    let mut classes = Classes::default();
    pairs(places(a.images()), places(b.images())).for_each(|pair| classes.count(&pair));
    classes.0
}

/// Which of the images that changed are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences<'a> {
    /// Those that have this class in one of the two manifests.
    pub class: Option<&'a str>,
}

impl Differences<'_> {
    /// All class changes, and up to `limit` of the images that changed, in the order of their
    /// hashes, from just past `cursor`, which is the last image's hash. `from` and `to` are the
    /// manifests' blobs; without `from`, everything is added.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`]; [`StoreError::Damaged`] when the bytes are no manifests.
    pub fn page(
        &self,
        from: Option<&[u8]>,
        to: &[u8],
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<DatasetDifference> {
        let after: Option<Hash> =
            cursor.map(|cursor| cursor.0.parse().map_err(|_| StoreError::BadCursor)).transpose()?;
        let from = from.map(content).transpose()?.unwrap_or_else(|| Content::Rows(Vec::new()));
        let to = content(to)?;
        let (from, to) = (from.columns(), to.columns());
        let mut classes = Classes::default();
        let (mut items, mut more) = (Vec::new(), false);
        for pair in pairs(from.places()?, to.places()?) {
            classes.count(&pair);
            let Some(kind) = pair.kind() else { continue };
            if !self.lists(&pair) || after.is_some_and(|after| pair.image() <= after) {
                continue;
            }
            if items.len() < limit {
                items.push(pair.change(kind, &from, &to)?);
            } else {
                more = true;
            }
        }
        let last = items.last().filter(|_| more);
        let next = last.map(|last: &ImageChange| PageCursor(last.image.to_string()));
        Ok(DatasetDifference { classes: classes.0, images: Page { items, next } })
    }

    /// Up to `limit` of the images that changed and are `wanted`, each with the image itself (as it is
    /// later, or was), paged as by [`Differences::page`].
    ///
    /// # Errors
    /// Those of [`Differences::page`].
    pub fn images(
        &self,
        from: Option<&[u8]>,
        to: &[u8],
        cursor: Option<&PageCursor>,
        limit: usize,
        wanted: &dyn Fn(Hash, ChangeKind) -> bool,
    ) -> Result<Page<(ImageChange, DatasetImage)>> {
        let after: Option<Hash> =
            cursor.map(|cursor| cursor.0.parse().map_err(|_| StoreError::BadCursor)).transpose()?;
        let from = from.map(content).transpose()?.unwrap_or_else(|| Content::Rows(Vec::new()));
        let (from, to) = (from.columns(), content(to)?.columns());
        let mut items = Vec::new();
        for pair in pairs(from.places()?, to.places()?) {
            let Some(kind) = pair.kind() else { continue };
            let passed = after.is_some_and(|after| pair.image() <= after);
            if passed || !self.lists(&pair) || !wanted(pair.image(), kind) {
                continue;
            }
            if items.len() == limit {
                let last = items.last().map(|(change, _): &(ImageChange, _)| change.image.to_string());
                return Ok(Page { items, next: last.map(PageCursor) });
            }
            let image = match pair {
                Pair::Gone(before) => from.image(before.index)?,
                Pair::New(after) | Pair::Both(_, after) => to.image(after.index)?,
            };
            items.push((pair.change(kind, &from, &to)?, image));
        }
        Ok(Page::whole(items))
    }

    fn lists(&self, pair: &Pair<'_>) -> bool {
        self.class.is_none_or(|class| match pair {
            Pair::Gone(place) | Pair::New(place) => place.label == class,
            Pair::Both(before, after) => before.label == class || after.label == class,
        })
    }
}

/// What tells an image of one manifest from the same image in another.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Where in the manifest it is.
    pub index: usize,
    pub image: Hash,
    pub label: &'a str,
    pub split: Split,
}

impl Place<'_> {
    fn placement(&self) -> Placement {
        Placement { label: self.label.to_owned(), split: self.split }
    }
}

/// One image in the two manifests.
enum Pair<'a> {
    /// Only the first has it.
    Gone(Place<'a>),
    /// Only the second has it.
    New(Place<'a>),
    /// Both have it.
    Both(Place<'a>, Place<'a>),
}

impl Pair<'_> {
    fn image(&self) -> Hash {
        let (Pair::Gone(place) | Pair::New(place) | Pair::Both(_, place)) = self;
        place.image
    }

    /// What became of the image; nothing when it stayed as it was.
    fn kind(&self) -> Option<ChangeKind> {
        match self {
            Pair::Gone(_) => Some(ChangeKind::Removed),
            Pair::New(_) => Some(ChangeKind::Added),
            Pair::Both(before, after) if before.label != after.label => Some(ChangeKind::Relabelled),
            Pair::Both(before, after) if before.split != after.split => Some(ChangeKind::Moved),
            Pair::Both(..) => None,
        }
    }

    /// The row of an image that changed.
    fn change(&self, kind: ChangeKind, from: &Columns<'_>, to: &Columns<'_>) -> Result<ImageChange> {
        let (before, after, origin) = match self {
            Pair::Gone(before) => (Some(before), None, from.origin(before.index)),
            Pair::New(after) => (None, Some(after), to.origin(after.index)),
            Pair::Both(before, after) => (Some(before), Some(after), to.origin(after.index)),
        };
        Ok(ImageChange {
            image: self.image(),
            kind,
            from: before.map(Place::placement),
            to: after.map(Place::placement),
            origin: origin.ok_or_else(|| damaged("it refers to an origin that is not there"))?.to_owned(),
        })
    }
}

/// Two lists that are sorted by hash, image by image: one walk over the two.
fn pairs<'a>(
    old: impl Iterator<Item = Place<'a>>,
    new: impl Iterator<Item = Place<'a>>,
) -> impl Iterator<Item = Pair<'a>> {
    let (mut old, mut new) = (old.peekable(), new.peekable());
    std::iter::from_fn(move || {
        let order = match (old.peek(), new.peek()) {
            (Some(x), Some(y)) => x.image.cmp(&y.image),
            // Where one list has ended, the other's images come next.
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => old.next().map(Pair::Gone),
            Ordering::Greater => new.next().map(Pair::New),
            Ordering::Equal => Some(Pair::Both(old.next()?, new.next()?)),
        }
    })
}

fn places(images: &[DatasetImage]) -> impl Iterator<Item = Place<'_>> {
    images.iter().enumerate().map(|(index, image)| Place {
        index,
        image: image.image,
        label: &image.label,
        split: image.split,
    })
}

/// What happens to each class.
#[derive(Default)]
struct Classes(BTreeMap<String, ClassChange>);

impl Classes {
    fn count(&mut self, pair: &Pair<'_>) {
        match pair {
            Pair::Gone(x) => self.change(x.label, |class| class.removed += 1),
            Pair::New(y) => self.change(y.label, |class| class.added += 1),
            Pair::Both(x, y) => {
                if x.label != y.label {
                    self.change(x.label, |class| class.relabelled_out += 1);
                    self.change(y.label, |class| class.relabelled_in += 1);
                }
                if x.split != y.split {
                    self.change(y.label, |class| class.moved += 1);
                }
            }
        }
    }

    fn change(&mut self, label: &str, edit: fn(&mut ClassChange)) {
        match self.0.get_mut(label) {
            Some(class) => edit(class),
            None => edit(self.0.entry(label.to_owned()).or_default()),
        }
    }
}
