//! What the largest things on a screen cost to draw: a frame has 33 ms, and most of it belongs to others.
//!
//! `cargo bench --package vigie --bench widgets`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use vigie::tui::theme::{Glyphs, Level, Palette, Theme};
use vigie::tui::widgets::chart::{Axis, Chart, ChartView, Series};
use vigie::tui::widgets::heatmap::{HeatView, Heatmap};
use vigie::tui::widgets::scale::Measure;

const SCREEN: Rect = Rect { x: 0, y: 0, width: 120, height: 40 };
const CLASSES: usize = 525;

fn theme(glyphs: Glyphs) -> Theme {
    Theme { palette: Palette::Dark, level: Level::Indexed, glyphs }
}

/// Six curves of 100,000 steps, each with a gap in a hundred.
fn curves() -> Vec<Vec<(f64, Option<f64>)>> {
    let point = |curve: u32, step: u32| {
        let (x, shift) = (f64::from(step), f64::from(curve));
        let value = 2.0 * (-x / 30_000.0).exp() + 0.2 * (x / 7.0 + shift).sin() + shift * 0.1 + 0.3;
        (x, (step % 100 != curve).then_some(value))
    };
    (0..6).map(|curve| (0..100_000).map(|step| point(curve, step)).collect()).collect()
}

fn charts(criterion: &mut Criterion) {
    let curves = curves();
    let names = ["train loss", "valid loss", "train recall", "valid recall", "rate", "norm"];
    let series: Vec<Series<'_>> =
        names.iter().zip(&curves).map(|(name, points)| Series { name, points }).collect();
    let crosshair = ChartView { x: None, log_y: true, crosshair: Some(50_000.0) };
    let zoomed = ChartView { x: Some((40_000.0, 41_000.0)), log_y: false, crosshair: None };
    let mut group = criterion.benchmark_group("chart of 6 x 100,000 points on 120x40");
    for (name, glyphs, view) in [
        ("all of it", Glyphs::Utf8, ChartView::default()),
        ("all of it in ASCII", Glyphs::Ascii, ChartView::default()),
        ("logarithmic with crosshair", Glyphs::Utf8, crosshair),
        ("a hundredth", Glyphs::Utf8, zoomed),
    ] {
        let theme = theme(glyphs);
        let mut buffer = Buffer::empty(SCREEN);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let x = Axis { label: "step", measure: Measure::Count };
                let chart = Chart { series: &series, x, y: Measure::Number, view: &view, theme: &theme };
                chart.draw(SCREEN, &mut buffer);
                black_box(&buffer);
            });
        });
    }
}

fn heatmaps(criterion: &mut Criterion) {
    let count = |row: usize, column: usize| (80 / (1 + row.abs_diff(column) * 7)) as u64;
    let matrix: Vec<Vec<u64>> =
        (0..CLASSES).map(|row| (0..CLASSES).map(|column| count(row, column)).collect()).collect();
    let names: Vec<String> = (0..CLASSES).map(|class| format!("species {class}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let theme = theme(Glyphs::Utf8);
    let mut group = criterion.benchmark_group("confusions of 525 classes on 120x40");
    let start = HeatView { row: 260, col: 261, zoom: 0 };
    for (name, view) in [("counts", start), ("overview", start.overview(CLASSES, (90, 37)))] {
        let mut buffer = Buffer::empty(SCREEN);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                Heatmap { matrix: &matrix, names: &names, view: &view }.draw(&theme, SCREEN, &mut buffer);
                black_box(&buffer);
            });
        });
    }
}

criterion_group!(benches, charts, heatmaps);
criterion_main!(benches);
