//! How large the images of each class are.

use vigie_protocol::dataset::{ClassSizes, Spread};

use super::content;
use crate::store::Result;

/// The classes of a manifest by name, with the sizes of their images. `bytes` are its blob.
///
/// # Errors
/// [`crate::store::StoreError::Damaged`] when the bytes are no manifest.
pub fn class_sizes(bytes: &[u8]) -> Result<Vec<ClassSizes>> {
    let columns = content(bytes)?.columns();
    let mut classes: Vec<[Vec<u64>; 3]> = vec![Default::default(); columns.classes().len()];
    for place in columns.places()? {
        let [width, height, bytes] = &mut classes[columns.class_of(place.index)];
        let size = columns.size(place.index);
        width.push(size.width);
        height.push(size.height);
        bytes.push(size.bytes);
    }
    Ok(columns
        .classes()
        .iter()
        .zip(classes)
        .map(|(class, [width, height, bytes])| ClassSizes {
            class: class.clone(),
            images: width.len() as u64,
            width: spread(width),
            height: spread(height),
            bytes: spread(bytes),
        })
        .collect())
}

fn spread(mut numbers: Vec<u64>) -> Spread {
    let Some(last) = numbers.len().checked_sub(1) else { return Spread::default() };
    let (below, median, above) = numbers.select_nth_unstable(last / 2);
    let median = *median;
    Spread {
        least: below.iter().min().copied().unwrap_or(median),
        median,
        most: above.iter().max().copied().unwrap_or(median),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use vigie_protocol::Hash;
    use vigie_protocol::dataset::DatasetImage;

    use super::*;
    use crate::store::manifest::Manifest;
    use crate::store::samples;

    #[test]
    fn the_middle_is_between_the_ends() {
        for (numbers, expected) in [
            (vec![], (0, 0, 0)),
            (vec![7], (7, 7, 7)),
            (vec![9, 2], (2, 2, 9)),
            (vec![5, 1, 3], (1, 3, 5)),
            (vec![8, 8, 1, 9], (1, 8, 9)),
        ] {
            let Spread { least, median, most } = spread(numbers.clone());
            assert_eq!((least, median, most), expected, "{numbers:?}");
        }
    }

    #[test]
    fn each_class_has_its_own() {
        let mut images: Vec<DatasetImage> =
            samples::manifest(&[1_u8, 2, 3].map(|n| Hash::of(&[n]))).images().to_vec();
        for (image, (label, width)) in images.iter_mut().zip([("owl", 10), ("jay", 20), ("owl", 30)]) {
            image.label = label.to_owned();
            image.quality.width = width;
        }
        let sizes = class_sizes(&Manifest::new(images).encode()).unwrap();
        let found: Vec<_> = sizes.iter().map(|of| (of.class.as_str(), of.images, of.width.most)).collect();
        assert_eq!(found, [("jay", 1, 20), ("owl", 2, 30)]);
        assert!(class_sizes(&Manifest::default().encode()).unwrap().is_empty());
        assert!(class_sizes(b"no manifest").is_err());
    }
}
