//! Names that every file system takes, made of labels and origins that anybody may have written.

use vigie_protocol::Hash;
use vigie_protocol::dataset::DatasetImage;

/// The longest class folder and file stem, in bytes: with the rest of a name below 255.
const LONGEST: usize = 120;
/// Endings of files that imports take for images and can read.
const ENDINGS: [&str; 6] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp"];

/// The folder of a class. A name that cannot be one as it is gets a part of its hash, so that no two
/// classes share a folder.
pub fn class_folder(class: &str) -> String {
    let safe = safe(class);
    if safe == class { safe } else { format!("{safe}-{}", Hash::of(class.as_bytes()).short()) }
}

/// The file of an image: the name it came with and a part of its hash, so that it is the same whenever
/// it is written, and no other's. `content` says of what kind it is when its name does not.
pub fn file_name(image: &DatasetImage, content: &[u8]) -> String {
    let base = image.origin.rsplit(['/', '\\']).next().unwrap_or_default();
    let (stem, ending) = match base.rsplit_once('.') {
        Some((stem, ending)) if ENDINGS.contains(&ending.to_ascii_lowercase().as_str()) => {
            (stem, ending.to_ascii_lowercase())
        }
        _ => (base, kind_of(content).to_owned()),
    };
    format!("{}-{}.{ending}", safe(stem), image.image.short())
}

/// What the first bytes say; the others that agents take are JPEG.
fn kind_of(content: &[u8]) -> &'static str {
    if content.starts_with(b"\x89PNG") {
        "png"
    } else if content.starts_with(b"RIFF") && content.get(8..12) == Some(b"WEBP") {
        "webp"
    } else {
        "jpg"
    }
}

fn safe(name: &str) -> String {
    let taken = |c: char| if c.is_control() || r#"/\:*?"<>|"#.contains(c) { '_' } else { c };
    let mut safe: String = name.chars().map(taken).collect();
    safe.truncate(safe.floor_char_boundary(LONGEST));
    // A hidden folder is none to imports, and some systems drop what is at the end.
    let trimmed = safe.trim_end_matches(['.', ' ']).trim_start_matches(['.', ' ']);
    if trimmed.is_empty() { "_".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use vigie_protocol::dataset::{Quality, Split};

    use super::*;

    #[test]
    fn class_folders_are_safe_and_nobody_elses() {
        for plain in ["owl", "great tit", "Häher", "a.b", "__MACOSX_"] {
            assert_eq!(class_folder(plain), plain);
        }
        let odd =
            ["..", ".", "a/b", "a\\b", "a:b", ".hidden", "end.", "", " x", "new\nline", &"é".repeat(100)];
        let mut folders: Vec<String> = odd.iter().map(|class| class_folder(class)).collect();
        for folder in &folders {
            assert!(!folder.contains(['/', '\\', '\n']) && folder.len() < 200, "{folder}");
            assert!(!folder.starts_with('.') && !folder.ends_with('.'), "{folder}");
        }
        folders.sort();
        folders.dedup();
        assert_eq!(folders.len(), odd.len());
    }

    #[test]
    fn files_keep_their_names_and_kinds() {
        let image = |origin: &str| {
            let [label, admission] = ["owl", "imported"].map(str::to_owned);
            let hash = Hash::from([0xab; 32]);
            DatasetImage::new(hash, label, Split::Train, origin.to_owned(), Quality::default(), admission)
        };
        for (origin, content, expected) in [
            ("owls/1.JPG", &b""[..], "1-abababab.jpg"),
            ("a/../../etc/passwd", b"\x89PNG", "passwd-abababab.png"),
            ("C:\\photos\\x.webp", b"", "x-abababab.webp"),
            ("note.txt", b"\xff\xd8", "note.txt-abababab.jpg"),
            ("prediction", b"RIFF....WEBP", "prediction-abababab.webp"),
            ("", b"", "_-abababab.jpg"),
            ("x/..", b"", "_-abababab.jpg"),
        ] {
            assert_eq!(file_name(&image(origin), content), expected, "{origin}");
        }
    }
}
