//! Pictures that someone asked to have erased and that are not gone yet.

use vigie_protocol::Hash;

use super::{Catalog, Key};
use crate::store::codec::encode;
use crate::store::{Batch, Result};

fn key(hash: Hash) -> Vec<u8> {
    Key::of("erase-due").text(&hash.to_string())
}

impl Catalog {
    /// Remembers that a picture is to go.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn begin_erasure(&self, hash: Hash) -> Result<()> {
        let batch = Batch { puts: vec![(key(hash), encode(&hash))], ..Batch::default() };
        self.facts().commit(&batch).map(drop)
    }

    /// The pictures that are to go.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn erasures(&self) -> Result<Vec<Hash>> {
        self.all(Key::of("erase-due"))
    }

    /// It is gone, or something else names it.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn end_erasure(&self, hash: Hash) -> Result<()> {
        self.facts().commit(&Batch { deletes: vec![key(hash)], ..Batch::default() }).map(drop)
    }
}
