//! Archives of pictures: subsets of the bundled ones, and hostile ones.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Result;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// A file of an archive: its name and bytes.
pub type Entry<'a> = (&'a str, &'a [u8]);

/// Writes the first `per_class` pictures of each class of an ImageFolder archive to a smaller one.
///
/// # Errors
/// When a file cannot be read or written.
pub fn subset(from: &Path, to: &Path, per_class: usize) -> Result<()> {
    let mut source = ZipArchive::new(File::open(from)?)?;
    let mut target = ZipWriter::new(File::create(to)?);
    let mut taken: HashMap<String, usize> = HashMap::new();
    for index in 0..source.len() {
        let mut entry = source.by_index(index)?;
        let name = entry.name()?.into_owned();
        let class = name.rsplit('/').nth(1).unwrap_or_default().to_owned();
        let count = taken.entry(class).or_default();
        if entry.is_file() && *count < per_class {
            *count += 1;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            target.start_file(name, SimpleFileOptions::default())?;
            target.write_all(&bytes)?;
        }
    }
    target.finish()?;
    Ok(())
}

/// A zip file in memory with the first `per_class` bundled products of each of the ten classes.
///
/// # Errors
/// When a file cannot be read or written.
pub fn products(per_class: usize) -> Result<Vec<u8>> {
    let file = tempfile::NamedTempFile::new()?;
    subset(&crate::data("samples/products.zip"), file.path(), per_class)?;
    Ok(std::fs::read(file.path())?)
}

/// The first `per_class` pictures of each class of an ImageFolder archive, with their classes.
///
/// # Errors
/// When a file cannot be read.
pub fn pictures(from: &Path, per_class: usize) -> Result<Vec<(String, Vec<u8>)>> {
    let mut source = ZipArchive::new(File::open(from)?)?;
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut found = Vec::new();
    for index in 0..source.len() {
        let mut entry = source.by_index(index)?;
        let class = entry.name()?.rsplit('/').nth(1).unwrap_or_default().to_owned();
        let count = taken.entry(class.clone()).or_default();
        if entry.is_file() && *count < per_class {
            *count += 1;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            found.push((class, bytes));
        }
    }
    Ok(found)
}

/// Lays pictures into one folder, `0000.png` and on, with the table `products.csv` that says what they
/// are, as shops do: a path of categories in brackets, of which the first part is the class.
///
/// # Errors
/// When a file cannot be read or written.
pub fn flat(from: &Path, to: &Path, per_class: usize) -> Result<()> {
    std::fs::create_dir_all(to)?;
    let mut table = String::from("image,category,product\n");
    for (number, (class, bytes)) in pictures(from, per_class)?.into_iter().enumerate() {
        let name = format!("{number:04}.png");
        std::fs::write(to.join(&name), bytes)?;
        table.push_str(&format!("{name},\"[\"\"{class} >> all >> {number}\"\"]\",p{}\n", number / 2));
    }
    std::fs::write(to.join("products.csv"), table)?;
    Ok(())
}

/// Pictures of an archive: those of class `of` from the first number to before the last, under the
/// class `class`.
#[derive(Clone, Debug)]
pub struct Pick<'a> {
    /// The class they get.
    pub class: &'a str,
    /// The class they have.
    pub of: &'a str,
    /// Which of them, by their order in the archive.
    pub range: std::ops::Range<usize>,
}

/// Writes an ImageFolder archive of picked pictures of another.
///
/// # Errors
/// When a file cannot be read or written.
pub fn pick(from: &Path, to: &Path, picks: &[Pick<'_>]) -> Result<()> {
    let mut source = ZipArchive::new(File::open(from)?)?;
    let mut target = ZipWriter::new(File::create(to)?);
    let mut seen: HashMap<String, usize> = HashMap::new();
    for index in 0..source.len() {
        let mut entry = source.by_index(index)?;
        let name = entry.name()?.into_owned();
        let mut parts = name.rsplit('/');
        let (Some(file), Some(class), true) = (parts.next(), parts.next(), entry.is_file()) else { continue };
        let number = seen.entry(class.to_owned()).or_default();
        let wanted = picks.iter().find(|pick| pick.of == class && pick.range.contains(number));
        *number += 1;
        if let Some(Pick { class, .. }) = wanted {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            target.start_file(format!("{class}/{file}"), SimpleFileOptions::default())?;
            target.write_all(&bytes)?;
        }
    }
    target.finish()?;
    Ok(())
}

/// Writes an archive of the given entries, names as they are.
///
/// # Errors
/// When it cannot be written.
pub fn zip_of(to: &Path, entries: &[Entry<'_>]) -> Result<()> {
    let mut target = ZipWriter::new(File::create(to)?);
    for (name, bytes) in entries {
        target.start_file(*name, SimpleFileOptions::default())?;
        target.write_all(bytes)?;
    }
    target.finish()?;
    Ok(())
}

/// Adds to `entries` one that unpacks to `size` zeros, under `name`.
///
/// # Errors
/// When it cannot be written.
pub fn bomb(to: &Path, entries: &[Entry<'_>], name: &str, size: u64) -> Result<()> {
    let mut target = ZipWriter::new(File::create(to)?);
    for (name, bytes) in entries {
        target.start_file(*name, SimpleFileOptions::default())?;
        target.write_all(bytes)?;
    }
    target.start_file(name, SimpleFileOptions::default().large_file(true))?;
    let zeros = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let piece = usize::try_from(left.min(zeros.len() as u64))?;
        target.write_all(&zeros[..piece])?;
        left -= piece as u64;
    }
    target.finish()?;
    Ok(())
}
