//! stub
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie_protocol::Hash;
/// k
#[derive(Clone, Copy, Debug)]
pub enum Kind { /// n
 None }
/// a
#[derive(Debug, Default)]
pub struct Album;
impl Album {
 /// d
 pub fn draw(&self, _: &Hash, _: Rect, _: &mut Buffer) -> bool { false }
 /// p
 pub fn put(&mut self, _: Hash, _: ()) {}
}
/// m
pub fn make(_: &[u8], _: Kind, _: (u16, u16), _: (u16, u16)) -> Result<(), String> { Err("not yet".into()) }
impl From<crate::tui::term::Pictures> for Kind { fn from(_: crate::tui::term::Pictures) -> Self { Kind::None } }
