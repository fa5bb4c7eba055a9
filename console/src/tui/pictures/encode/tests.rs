use proptest::prelude::*;

use super::*;
use crate::tui::pictures::decode::tests::halves;
use crate::tui::widgets::testing::{ASCII, UTF8};
use crate::tui::widgets::testing::{any_area, inside, lines};
use ratatui::buffer::CellDiffOption;
use ratatui::style::Color;

pub(in crate::tui::pictures) const MEDIUM: Medium = Medium {
    kind: Kind::HalfBlocks,
    font: (8, 16),
    level: Level::Rgb,
    light: false,
    tmux: false,
    deflate: false,
};

pub(in crate::tui::pictures) fn picture(width: u32, height: u32) -> Decoded {
    Decoded { pixels: halves(width, height), width, height }
}

/// A bright disc on black.
fn disc(side: u32) -> Decoded {
    let half = side as f32 / 2.0;
    let pixels = RgbImage::from_fn(side, side, |x, y| {
        let away = ((x as f32 + 0.5 - half).hypot(y as f32 + 0.5 - half)) / half;
        image::Rgb([((1.1 - away).clamp(0.0, 1.0) * 255.0) as u8; 3])
    });
    Decoded { pixels, width: side, height: side }
}

fn shown(picture: &Decoded, medium: &Medium, cells: (u16, u16)) -> String {
    let encoded = encode(picture, medium, cells).expect("fits");
    let mut buffer = Buffer::empty(Rect::new(0, 0, cells.0, cells.1));
    assert!(draw(&encoded, buffer.area, &mut buffer));
    lines(&buffer)
}

#[test]
fn characters_by_brightness() {
    let ascii = Medium { kind: Kind::Ascii, ..MEDIUM };
    insta::assert_snapshot!(shown(&disc(64), &ascii, (32, 10)), @r"
          ........
       ..::------::..
      .:--==++++==--:.
     .:-==+**##**+==-:.
    .:--=+*#%%%%#*+=--:.
    .:--=+*#%%%%#*+=--:.
     .:-==+**##**+==-:.
      .:--==++++==--:.
       ..::------::..
          ........
    ");
    insta::assert_snapshot!(shown(&disc(64), &Medium { light: true, ..ascii }, (12, 6)), @r"
    %%%#****#%%%
    %#*+=--=+*#%
    #*=-:..:-=*#
    #*=-:..:-=*#
    %#*+=--=+*#%
    %%%#****#%%%
    ");
    // Half-blocks without colours would be a black field.
    let mono = Medium { level: Level::None, ..MEDIUM };
    assert_eq!(shown(&disc(64), &mono, (12, 6)), shown(&disc(64), &ascii, (12, 6)));
}

#[test]
fn half_blocks_by_colour() {
    let pixels = RgbImage::from_fn(4, 4, |x, y| match (x < 2, y == 0) {
        (_, true) => image::Rgb([255, 255, 255]),
        (true, false) => image::Rgb([200, 0, 0]),
        (false, false) => image::Rgb([0, 0, 200]),
    });
    let picture = Decoded { pixels, width: 4, height: 4 };
    for (level, white, red) in [
        (Level::Rgb, Color::Rgb(255, 255, 255), Color::Rgb(200, 0, 0)),
        (Level::Indexed, Color::Indexed(231), Color::Indexed(160)),
    ] {
        let encoded = encode(&picture, &Medium { level, ..MEDIUM }, (4, 2)).expect("fits");
        assert_eq!(encoded.size(), (4, 2));
        assert_eq!(lines(&encoded.cells), "▀▀▀▀");
        let look = |x, y| (encoded.cells[(x, y)].fg, encoded.cells[(x, y)].bg);
        assert_eq!((look(0, 0), look(1, 1)), ((white, red), (red, red)));
    }
}

#[test]
fn pictures_keep_their_proportions() {
    for (width, height, cells, font, size) in [
        (100, 100, (40, 10), (8, 16), (20, 10)),
        (100, 100, (10, 40), (8, 16), (10, 5)),
        (100, 100, (40, 10), (10, 20), (20, 10)),
        (100, 100, (40, 10), (0, 0), (20, 10)),
        (32, 32, (40, 10), (8, 16), (20, 10)),
        (1_000, 10, (40, 10), (8, 16), (40, 1)),
        (10, 2_000, (40, 10), (8, 16), (1, 10)),
        (2_000, 1, (u16::MAX, u16::MAX), (u16::MAX, u16::MAX), (297, 1)),
        (100, 100, (1, 1), (8, 16), (1, 1)),
    ] {
        let fitted = Fitted::new(&picture(width, height), &Medium { font, ..MEDIUM }, cells);
        assert_eq!((fitted.cells.width, fitted.cells.height), size, "{width}x{height} in {cells:?}");
    }
    let fitted = Fitted::new(&picture(100, 100), &Medium { font: (64, 128), ..MEDIUM }, (297, 297));
    assert!(u64::from(fitted.width) * u64::from(fitted.height) <= 4_100_000);
}

#[test]
fn graphics_take_one_cell_and_keep_the_others_free() {
    for (kind, tmux, begins, cut) in [
        (Kind::Kitty, false, "\u{1b}_Gq=2,i=", true),
        (Kind::Kitty, true, "\u{1b}Ptmux;\u{1b}\u{1b}_Gq=2,i=", true),
        (Kind::Iterm2, false, "\u{1b}[10X", false),
        (Kind::Iterm2, true, "\u{1b}Ptmux;\u{1b}\u{1b}[10X", false),
        (Kind::Sixel, false, "\u{1b}[10X", false),
        (Kind::Sixel, true, "\u{1b}Ptmux;\u{1b}\u{1b}[10X", false),
    ] {
        let medium = Medium { kind, tmux, ..MEDIUM };
        let encoded = encode(&picture(100, 100), &medium, (10, 8)).expect("fits");
        assert_eq!(encoded.size(), (10, 5));
        let area = Rect::new(0, 0, 14, 9);
        let mut frame = Buffer::empty(area);
        assert!(draw(&encoded, area, &mut frame));
        // In the middle of the area: two cells in, two down.
        let sent = frame[(2, 2)].symbol();
        assert!(sent.starts_with(begins), "{kind}: {:?}", &sent[..20.min(sent.len())]);
        assert!(encoded.bytes() > sent.len());
        for position in Rect::new(2, 2, 10, 5).positions().skip(1) {
            let cell = &frame[position];
            let free = cell.diff_option == CellDiffOption::Skip || cell.symbol().starts_with('\u{10eeee}');
            assert!(free, "{kind}: {position} would be drawn over");
        }
        // The same frame again costs nothing; another one clears the place.
        let mut second = Buffer::empty(area);
        draw(&encoded, area, &mut second);
        assert!(frame.diff(&second).is_empty());
        assert_eq!(frame.diff(&Buffer::empty(area)).len(), 50, "{kind}");
        // Where it does not fit.
        let mut small = Buffer::empty(Rect::new(0, 0, 9, 4));
        assert!(!draw(&encoded, small.area, &mut small));
        assert_eq!(small != Buffer::empty(small.area), cut, "{kind}");
    }
}

#[test]
fn the_same_pixels_have_the_same_id() {
    let medium = Medium { kind: Kind::Kitty, ..MEDIUM };
    let first = |picture: &Decoded| {
        let encoded = encode(picture, &medium, (10, 8)).expect("fits");
        encoded.cells[(0, 0)].symbol().to_owned()
    };
    assert_eq!(first(&picture(20, 20)), first(&picture(20, 20)));
    let id = |text: &str| text.split(",a=T").next().map(str::to_owned);
    assert_ne!(id(&first(&picture(20, 20))), id(&first(&disc(20))));
}

#[test]
fn no_room_is_said() {
    for (kind, cells) in [(Kind::None, (10, 10)), (Kind::Kitty, (0, 10)), (Kind::Ascii, (10, 0))] {
        let refused = encode(&picture(4, 4), &Medium { kind, ..MEDIUM }, cells).expect_err("no room");
        assert_eq!(refused, PictureError::NoRoom);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_picture_is_drawn_inside(
        side in (1u32..40, 1u32..40),
        cells in (1u16..40, 1u16..20),
        font in (0u16..20, 0u16..40),
        kind in prop::sample::select(vec![Kind::Kitty, Kind::Iterm2, Kind::Sixel, Kind::HalfBlocks, Kind::Ascii]),
        area in any_area(),
    ) {
        let medium = Medium { kind, font, ..MEDIUM };
        let encoded = encode(&picture(side.0, side.1), &medium, cells).expect("fits");
        prop_assert!(encoded.size().0 <= cells.0 && encoded.size().1 <= cells.1);
        let theme = if kind == Kind::Ascii { ASCII } else { UTF8 };
        inside(&theme, area, |_, area, buffer| {
            draw(&encoded, area, buffer);
        });
    }
}
