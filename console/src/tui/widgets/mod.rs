//! Pieces of screens: each draws itself into a buffer from what it is given, and keeps nothing.
