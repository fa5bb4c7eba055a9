//! stub
use super::Page;
/// c
pub(super) struct Compare;
impl Page for Compare {}
