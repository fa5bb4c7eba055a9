use proptest::prelude::*;

use super::*;
use crate::tui::theme::Level;
use crate::tui::widgets::testing::{ASCII, MONO, UTF8, any_area, drawn, inside, stays_inside};

const NAMES: [&str; 5] = ["owl", "crow", "kite", "jay", "sparrow"];

fn birds() -> Vec<Vec<u64>> {
    vec![
        vec![60, 12, 8, 0, 0],
        vec![3, 90, 7, 0, 0],
        vec![0, 1, 1_499, 0, 0],
        vec![0, 0, 0, 0, 0],
        vec![1, 0, 0, 2, 17],
    ]
}

fn shown(theme: &Theme, view: HeatView, size: (u16, u16)) -> String {
    let matrix = birds();
    let map = Heatmap { matrix: &matrix, names: &NAMES, view: &view };
    drawn(size, |area, buffer| map.draw(theme, area, buffer))
}

/// Many classes, each confused with its neighbours.
fn many(classes: usize) -> Vec<Vec<u64>> {
    let count = |row: usize, column: usize| match row.abs_diff(column) {
        0 => 80,
        1 => 8,
        2..5 => 1,
        _ => 0,
    };
    (0..classes).map(|row| (0..classes).map(|column| count(row, column)).collect()).collect()
}

#[test]
fn counts_where_they_fit() {
    let view = HeatView { row: 0, col: 1, zoom: 0 };
    insta::assert_snapshot!(shown(&UTF8, view, (50, 8)), @r"
    taken for crow                           5 classes
                   owl    crow    kite     jay sparrow
    ▶ owl          ╲60      12       8       ·       ·
      crow           3     ╲90       7       ·       ·
      kite           ·       1   ╲1499       ·       ·
      jay            ·       ·       ·      ╲·       ·
      sparrow        1       ·       ·       2     ╲17
    owl taken for crow: 12 of 80 (15.0 %)
    ");
    insta::assert_snapshot!(shown(&ASCII, view, (50, 8)), @r"
    taken for crow                           5 classes
                   owl    crow    kite     jay sparrow
    > owl          \60      12       8       .       .
      crow           3     \90       7       .       .
      kite           .       1   \1499       .       .
      jay            .       .       .      \.       .
      sparrow        1       .       .       2     \17
    owl taken for crow: 12 of 80 (15.0 %)
    ");
}

#[test]
fn shades_where_they_do_not() {
    let view = HeatView { row: 2, col: 2, zoom: 1 };
    insta::assert_snapshot!(shown(&MONO, view, (40, 8)), @r"
    taken for kite                 5 classes
                  ▼▼
      owl     75▂▂▁▁
      crow    ▁▁90▁▁
    ▶ kite      ▁▁99
      jay
      sparrow ▁▁    ▁▁85
    kite recognised: 1,499 of 1,500 (99.9 %)
    ");
    insta::assert_snapshot!(shown(&ASCII, HeatView { row: 3, col: 4, zoom: 0 }, (18, 5)), @r"
    taken for sparrow
             jay spa~
      kite     .    .
    > jay     \.    .
    jay: no images
    ");
    insta::assert_snapshot!(shown(&ASCII, HeatView { row: 4, col: 3, zoom: 0 }, (60, 1)), @"sparrow taken for jay: 2 of 20 (10.0 %)");
}

#[test]
fn five_hundred_classes_in_a_window_and_at_a_glance() {
    let matrix = many(525);
    let names: Vec<String> = (0..520).map(|class| format!("bird {class}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let shown = |theme: &Theme, view: HeatView| {
        let map = Heatmap { matrix: &matrix, names: &names, view: &view };
        drawn((60, 12), |area, buffer| map.draw(theme, area, buffer))
    };
    insta::assert_snapshot!(shown(&UTF8, HeatView { row: 300, col: 301, zoom: 0 }), @r"
    taken for bird 301                               525 classes
                                          ▼
      bird 296    8 ╲80   8   1   1   1   ·   ·   ·   ·   ·   ·
      bird 297    1   8 ╲80   8   1   1   1   ·   ·   ·   ·   ·
      bird 298    1   1   8 ╲80   8   1   1   1   ·   ·   ·   ·
      bird 299    1   1   1   8 ╲80   8   1   1   1   ·   ·   ·
    ▶ bird 300    ·   1   1   1   8 ╲80   8   1   1   1   ·   ·
      bird 301    ·   ·   1   1   1   8 ╲80   8   1   1   1   ·
      bird 302    ·   ·   ·   1   1   1   8 ╲80   8   1   1   1
      bird 303    ·   ·   ·   ·   1   1   1   8 ╲80   8   1   1
      bird 304    ·   ·   ·   ·   ·   1   1   1   8 ╲80   8   1
    bird 300 taken for bird 301: 8 of 102 (7.8 %)
    ");
    insta::assert_snapshot!(shown(&ASCII, HeatView { row: 524, col: 523, zoom: 1 }), @r"
    taken for class 523                              525 classes
                                                           vv
      bird 516                       ........78........
      bird 517                         ........78........
      bird 518                           ........78........
      bird 519                             ........78........
      class 5~                               ........78........
      class 5~                                 ........79......
      class 5~                                   ........80....
      class 5~                                     ........80..
    > class 5~                                       ........87
    class 524 taken for class 523: 8 of 91 (8.8 %)
    ");
    let overview = HeatView { row: 300, col: 300, zoom: 0 }.overview(525, (44, 9));
    insta::assert_snapshot!(shown(&ASCII, overview), @r"
    taken for bird 256 .. bird 319        525 classes, 64 a cell
                              vv
      bird 0 .. bird~ 99..
      bird 64 .. bir~ ..99..
      bird 128 .. bi~   ..99..
      bird 192 .. bi~     ..99..
    > bird 256 .. bi~       ..99..
      bird 320 .. bi~         ..99..
      bird 384 .. bi~           ..99..
      bird 448 .. bi~             ..99..
      bird 512 .. cl~               ..98
    bird 256 .. bird ~ among themselves: 6,494 of 6,528 (99.5 %)
    ");
}

#[test]
fn heat_is_a_background_where_there_are_colours() {
    let view = HeatView { row: 4, col: 4, zoom: 0 };
    let matrix = birds();
    let map = Heatmap { matrix: &matrix, names: &NAMES, view: &view };
    for (level, coloured) in [(Level::Indexed, true), (Level::Sixteen, false)] {
        let theme = Theme { level, ..UTF8 };
        let area = Rect::new(0, 0, 50, 8);
        let mut buffer = Buffer::empty(area);
        map.draw(&theme, area, &mut buffer);
        // The count of owls taken for crows, and one of those that never happened.
        let background = |x, y| buffer[(x, y)].bg != ratatui::style::Color::Reset;
        assert_eq!((background(18, 2), background(35, 2)), (coloured, false), "{level:?}");
    }
}

#[test]
fn matrices_without_classes_say_so() {
    let view = HeatView::default();
    let map = Heatmap { matrix: &[], names: &NAMES, view: &view };
    assert_eq!(drawn((20, 3), |area, buffer| map.draw(&UTF8, area, buffer)), "no classes");
}

#[test]
fn maps_stay_inside() {
    let matrix = many(70);
    for zoom in [0, 1, 3, 200] {
        let view = HeatView { row: 40, col: 69, zoom };
        let map = Heatmap { matrix: &matrix, names: &NAMES, view: &view };
        stays_inside(|theme, area, buffer| map.draw(theme, area, buffer));
    }
}

proptest! {
    #[test]
    fn any_matrix_is_drawn_inside(
        matrix in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..12), 0..12),
        names in prop::collection::vec("[ -~]{0,20}", 0..12),
        row: usize,
        col: usize,
        zoom: u8,
        area in any_area(),
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let view = HeatView { row, col, zoom };
        let map = Heatmap { matrix: &matrix, names: &names, view: &view };
        inside(&ASCII, area, |theme, area, buffer| map.draw(theme, area, buffer));
    }
}
