use proptest::prelude::*;

use super::*;
use crate::tui::widgets::testing::{ASCII, MONO, UTF8, any_area, drawn, inside, stays_inside};

const X: Axis<'static> = Axis { label: "step", measure: Measure::Count };

type Points = Vec<(f64, Option<f64>)>;

fn losses() -> (Points, Points) {
    let train = (0..=200).map(|step| {
        let step = f64::from(step);
        // A pause in the middle, as after a restart.
        let value = 2.0 * (-step / 60.0).exp() + 0.1 + 0.05 * (step / 3.0).sin();
        (step * 10.0, (!(90.0..110.0).contains(&step)).then_some(value))
    });
    let valid = (0..=10).map(|epoch| {
        let epoch = f64::from(epoch);
        (epoch * 200.0, Some(1.8 * (-epoch / 4.0).exp() + 0.3))
    });
    (train.collect(), valid.collect())
}

fn shown(theme: &Theme, view: ChartView, size: (u16, u16)) -> String {
    let (train, valid) = losses();
    let series = [Series { name: "train", points: &train }, Series { name: "valid", points: &valid }];
    let chart = Chart { series: &series, x: X, y: Measure::Number, view: &view, theme };
    drawn(size, |area, buffer| chart.draw(area, buffer))
}

#[test]
fn curves_in_braille() {
    insta::assert_snapshot!(shown(&UTF8, ChartView::default(), (72, 16)), @r"
    ● train 0.1394   ▲ valid 0.4478
            │⠙⢆⡀
         2.0┤  ⢫⠢⡀
            │   ⠱⡈⠑⢄⡀
            │    ⠑⠦⢄⡈⠒⢄⡀
         1.5┤       ⠘⢆ ⠈⠒⢄⡀
            │         ⢣⡀  ⠈⠑⠤⣀
            │          ⠈⠉⠑⢢⡀  ⠉⠒⠤⣀
         1.0┤              ⠑⢄     ⠉⠑⠢⠤⢄⣀⡀
            │                ⠉⠉⠉⠳⣀      ⠈⠉⠑⠒⠢⠤⢄⣀⡀
            │                    ⠈⠒⠔⠒⠒⢄         ⠈⠉⠑⠒⠢⠤⢄⣀⣀⣀⡀
         0.5┤                          ⠑⠄       ⣀         ⠈⠉⠉⠉⠉⠒⠒⠒⠤⠤⠤⠤⢄⣀⣀⣀ ▲
            │                                 ⠐⠉⠁⠉⠦⣀⣀⠤⠲⢤⡀  ⣀⣀⡀
            │                                           ⠈⠒⠋  ⠙⠢⠤⠞⠉⠉⠢⣄⣠⠔⠒⠲⣄ ●
            └┬──────────────┬──────────────┬──────────────┬──────────────┬
             0             500           1,000          1,500           step
    ");
}

#[test]
fn curves_in_ascii() {
    insta::assert_snapshot!(shown(&ASCII, ChartView::default(), (72, 16)), @r"
    * train 0.1394   + valid 0.4478
            |++
         2.0+  +++
            |   **+++
            |    ****+++
         1.5+       **  +++
            |        ***   +++
            |          *****  ++++
         1.0+              *****  ++++++
            |                  ***      ++++++
            |                     ******      ++++++++++++
         0.5+                          **      ***        ++++++++++++++++ +
            |                                 *   ************  ***    *
            |                                                 *** ******** *
            ++--------------+--------------+--------------+--------------+
             0             500           1,000          1,500           step
    ");
}

#[test]
fn curves_without_colours_carry_marks() {
    insta::assert_snapshot!(shown(&MONO, ChartView::default(), (48, 10)), @r"
    ● train 0.1394   ▲ valid 0.4478
           2┤⠙⢦⡀
            │ ⠈⢯⣑⠤⡀
            │   ⠈⠙⢌⠑⠢⢄⡀
           1┤     ⠈●⠒⢦⡈▲⠒⠤⣀
            │         ⠙⠒⠲⣄ ⠉⠑⠒⠢⠤⠤⢄⣀▲⣀
            │             ⠉⠉⠑⠄   ⢀⣀⡀ ⠉⠉⠉⠑⠒⠒⠒⠤⠤⠤▲⣀⣀ ▲
            │                    ⠉ ⠉⠒⠋⠙⠢⠔⠒⠦●⠔⠢⣄⡠⠤⣄ ●
            └┬─────────────────┬─────────────────┬
             0               1,000              step
    ");
}

#[test]
fn a_crosshair_reads_values_in_a_window() {
    let view = ChartView { x: Some((500.0, 1_300.0)), log_y: false, crosshair: Some(803.0) };
    insta::assert_snapshot!(shown(&UTF8, view, (72, 12)), @r"
    step 800   ● train 0.6772   ▲ valid 0.9622
            │⠉⠒⠒⠤⠤⣀⣀                │
            │       ⠉⠉⠒⠒⠤⠤⣀⣀        │
         1.0┤               ⠉⠉⠑⠒⠢⠤⢄⣀⣀⡀
            │⠑⠢⠤⠤⠤⠤⠤⠤⠤⣀⡀            ▲⠈⠉⠉⠑⠒⠒⠢⠤⠤⢄⣀⣀⡀
            │          ⠈⠒⢄⡀         │            ⠈⠉⠉⠉⠒⠒⠒⠒⠤⠤⠤⢄⣀⣀⣀⡀
            │             ⠈⠒⠢⠤⠤⠤⠔⠒⠒⠒●⢄⡀                         ⠈⠉⠉⠉⠒⠒⠒⠒⠤⠤ ▲
         0.5┤                       │ ⠈⠒⠢⢄⣀
            │                       │                      ⢀⣀⣀⠤⠤⠤⢄⣀
            │                       │                     ⠈⠁       ⠉⠢⠤⣀⣀⣀⣀ ●
            └────────┬──────────────┬──────────────┬──────────────┬───────
                    600            800           1,000          1,200   step
    ");
    // Train has its gap there, and valid no point.
    let view = ChartView { crosshair: Some(952.0), ..view };
    insta::assert_snapshot!(shown(&ASCII, view, (40, 8)), @r"
    step 950   * train -
    + valid 0.8157 @1,000
            |++++++++        |
         1.0+******  ++++++++++++++
         0.5+      ********* |     +++++++ +
            |                |    ******** *
            ++-----------------+----------
             500             1,000      step
    ");
}

#[test]
fn small_charts_drop_what_explains_them() {
    insta::assert_snapshot!(shown(&UTF8, ChartView::default(), (20, 4)), @r"
    ● train 0.1394   +1
    ⠙⢦⣄⡀
      ⠈⠛⠫⣖⣒⠤⠤⣀⣀
          ⠈⠉⠑ ⠠⠟⠭⠭⣵⢶⣲⢶⣒⣖
    ");
    insta::assert_snapshot!(shown(&UTF8, ChartView::default(), (30, 1)), @"● train 0.1394   +1");
}

#[test]
fn a_logarithmic_axis_says_what_it_leaves_out() {
    let points: Vec<_> =
        (0..40).map(|x| (f64::from(x), Some(10f64.powf(2.0 - f64::from(x) / 8.0)))).collect();
    let zeros = [(0.0, Some(0.0)), (1.0, Some(-1.0)), (2.0, None), (30.0, Some(5.0)), (39.0, Some(0.0))];
    let series = [Series { name: "rate", points: &points }, Series { name: "zeros", points: &zeros }];
    let view = ChartView { log_y: true, ..ChartView::default() };
    let shown = |theme: &Theme| {
        let chart = Chart { series: &series, x: X, y: Measure::Number, view: &view, theme };
        drawn((60, 12), |area, buffer| chart.draw(area, buffer))
    };
    assert!(shown(&ASCII).ends_with("! 3 values <= 0 not shown"));
    insta::assert_snapshot!(shown(&UTF8), @r"
    ● rate 0.001334   ▲ zeros 0
         100┤⠑⠒⠤⠤⢄⡀
            │     ⠈⠉⠒⠤⠤⢄⣀
            │            ⠉⠒⠢⠤⠤⣀                   ▲            ▲
           1┤                  ⠉⠑⠢⠤⠤⣀⡀
            │                        ⠈⠑⠒⠒⠤⢄⡀
            │                              ⠈⠉⠒⠒⠢⢄⣀
        0.01┤                                     ⠉⠒⠒⠢⠤⣀
            │                                           ⠉⠑⠒⠒⠤⣀ ●
            └┬───────────┬────────────┬───────────┬───────────
             0          10           20          30         step
    ▲ 3 values ≤ 0 not shown
    ");
}

#[test]
fn charts_without_values_say_so() {
    let view = ChartView::default();
    let nothing = [(0.0, None), (5.0, Some(f64::NAN))];
    for (points, text) in [(&nothing[..0], "no values yet"), (&nothing[..], "no values in this window")] {
        let series = [Series { name: "loss", points }];
        let chart = Chart { series: &series, x: X, y: Measure::Number, view: &view, theme: &UTF8 };
        let shown = drawn((40, 6), |area, buffer| chart.draw(area, buffer));
        assert!(shown.contains(text), "{shown}");
    }
}

#[test]
fn many_series_have_marks_of_their_own_and_hostile_names() {
    let points: Vec<[(f64, Option<f64>); 2]> =
        (0..9).map(|n| [(0.0, Some(f64::from(n))), (1.0, Some(9.0 - f64::from(n)))]).collect();
    let series: Vec<Series<'_>> =
        points.iter().map(|points| Series { name: "a\u{1b}[2J\n", points }).collect();
    let chart =
        Chart { series: &series, x: X, y: Measure::Number, view: &ChartView::default(), theme: &MONO };
    insta::assert_snapshot!(drawn((60, 16), |area, buffer| chart.draw(area, buffer)), @r"
    ● a\u{1b}[2J\n 9   ▲ a\u{1b}[2J\n 8   ■ a\u{1b}[2J\n 7
    ◆ a\u{1b}[2J\n 6   ○ a\u{1b}[2J\n 5   △ a\u{1b}[2J\n 4
    A a\u{1b}[2J\n 3   B a\u{1b}[2J\n 2   C a\u{1b}[2J\n 1
            │                                             ⣀⠤⠒⠉ ●
           8┤⠒⠤C⣀                                    ⢀⡠●⠊⠉⣀▲⠤⠒ ▲
            │⠤⢄⣀⡀⠉⠑⠒⠤⢄⣀                          ⣀⠤⠒⣉⡡⠤⠒⠊⠉⢀⣀⡠⠤ ■
           6┤⠤⠤⣀⣈⣉⠑⠒⠢⠤⢄⣉⣑⠢⠤C⡀               ⢀⡠⢔▲⠭⠔⣊■⡠⠤⠔⠒⠊⣉⣁⣀⠤⠤ ◆
            │⣀⣀△⣀⣀⠉A⠉⠑⠒⠒⠢⠭⠭⠶⣚⣭⣶⣢⣤⣀⡀     ⣀⣤⣶⣝⣷⣭⣓⠶⠭⠭⠔⠒⠒⠊⠉◆⠉⣀⣀○⣀⣀ ○
            │     ⣉⣉⣉⣉⣉⣉⣉⣉⣉△⠶⠶⠶A⣿⣿⣿⣿⡶⠶⠾C⣿⣿⣿A⠶⠶⠶⣉⣉⣉⣉△⣉⣉⣉⣉⣉
           4┤⠉⠉⠉⠉⠉⣀◆⣀⡠⠤⠤⠔⣒⣒⠶⢭⣛⢿⣝⠿⠛⠉     ⠈⠉⠛⠫⠿⣛⡭B⣒⣒⠢⠤⠤⢄⣀A⣀⠉⠉⠉⠉⠉ △
            │⠒⠒⠉⢉⣉⡠⠤⠔⠒⠊⣉⡩⠔⣒⡩⠕⠊⠁               ⠈⠉⠒⠢⢍C⠑⠒⠢⠤⢄⣉⡉⠉⠒⠒ A
           2┤⠒⠊■⠁⣀⡠⠤⠒⢊⣉⠤⠒⠉                          ⠉⠑⠒⠤⢄⣀⠈B⠑⠒ B
            │⠤⠒⠊⠉⣀⡠●⠊⠁                                    ⠉⠑⠒⠤ C
           0┤⣀⠤⠒⠉
            └┬───────────────────────────────────────────────┬
             0                                              step
    ");
}

#[test]
fn charts_stay_inside() {
    let (train, valid) = losses();
    let series = [Series { name: "train", points: &train }, Series { name: "valid", points: &valid }];
    for view in [
        ChartView::default(),
        ChartView { x: Some((3.0, 4.0)), log_y: true, crosshair: Some(3.0) },
        ChartView { x: None, log_y: true, crosshair: Some(1_000.0) },
    ] {
        stays_inside(|theme, area, buffer| {
            Chart { series: &series, x: X, y: Measure::Share, view: &view, theme }.draw(area, buffer);
        });
    }
}

proptest! {
    #[test]
    fn any_points_are_drawn_inside(
        points in prop::collection::vec((any::<f64>(), any::<Option<f64>>()), 0..40),
        x in any::<Option<(f64, f64)>>(),
        log_y: bool,
        crosshair in any::<Option<f64>>(),
        area in any_area(),
        measure in prop::sample::select(vec![
            Measure::Number, Measure::Count, Measure::Share, Measure::Bytes, Measure::Clock,
        ]),
    ) {
        let view = ChartView { x, log_y, crosshair };
        let series = [Series { name: "a", points: &points }, Series { name: "b", points: &points[points.len() / 2..] }];
        for theme in [UTF8, ASCII] {
            inside(&theme, area, |theme, area, buffer| {
                let x = Axis { label: "step", measure };
                Chart { series: &series, x, y: measure, view: &view, theme }.draw(area, buffer);
            });
        }
    }
}
