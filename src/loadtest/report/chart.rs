//! Charts as SVG, drawn without a script so that a file shows them anywhere.

use std::fmt::Write;

/// A line of a chart: points in order of their x.
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// What a chart is about.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    /// The unit of y.
    pub(crate) unit: &'a str,
    /// What x is; ticks are written by this.
    pub(crate) x_label: fn(f64) -> String,
    pub(crate) series: Vec<Series<'a>>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = WIDTH - 14.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 12.0;

impl Chart<'_> {
    /// The chart with its heading and legend; nothing if there is nothing to draw.
    pub(crate) fn html(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let Some(&(first, _)) = points().next() else { return String::new() };
        let (mut least, mut most, mut top) = (first, first, 0.0_f64);
        for &(x, y) in points() {
            (least, most, top) = (least.min(x), most.max(x), top.max(y));
        }
        let frame = ChartFrame { least, most: most.max(least + 1e-9), top: nice(top) };
        let mut out = format!("<figure><figcaption>{} <small>{}</small>", self.title, self.unit);
        let named = self.series.iter().enumerate().filter(|_| self.series.len() > 1);
        for (place, series) in named {
            let _ = write!(out, " <span class=\"key c{place}\">{}</span>", series.name);
        }
        let _ = write!(
            out,
            "</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            self.title
        );
        self.axes(&frame, &mut out);
        for (place, series) in self.series.iter().enumerate() {
            draw(series, place, &frame, &mut out);
        }
        out.push_str("</svg></figure>\n");
        out
    }

    fn axes(&self, frame: &ChartFrame, out: &mut String) {
        let ticks = steps(frame.top);
        for tick in 0..=ticks {
            let value = frame.top * f64::from(tick) / f64::from(ticks);
            let y = frame.y(value);
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                short(value)
            );
        }
        let step = span(frame.most - frame.least);
        let mut x = (frame.least / step).ceil() * step;
        while x <= frame.most + 1e-9 {
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                frame.x(x),
                HEIGHT - 8.0,
                (self.x_label)(x)
            );
            x += step;
        }
    }
}

/// Into how many steps an axis is divided so that each is a round number.
fn steps(top: f64) -> u32 {
    let leading = top / 10_f64.powf(top.log10().floor());
    if (leading - 5.0).abs() < 0.1 { 5 } else { 4 }
}

/// The distance of ticks along a length: a whole number that leaves few of them.
fn span(length: f64) -> f64 {
    let spans = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 3_600.0];
    spans.into_iter().find(|span| length / span <= 6.0).unwrap_or(86_400.0)
}

fn draw(series: &Series<'_>, place: usize, frame: &ChartFrame, out: &mut String) {
    let mut path = String::new();
    for (number, &(x, y)) in series.points.iter().enumerate() {
        let step = if number == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{step}{:.1} {:.1}", frame.x(x), frame.y(y));
    }
    if let [(x, y)] = series.points[..] {
        // One point has no line; a short one stands for it.
        let _ = write!(path, "L{:.1} {:.1}", frame.x(x) + 2.0, frame.y(y));
    }
    let _ = write!(out, "<path class=\"line c{place}\" d=\"{path}\"/>");
}

/// Where values are on the page.
struct ChartFrame {
    least: f64,
    most: f64,
    top: f64,
}

impl ChartFrame {
    fn x(&self, x: f64) -> f64 {
        LEFT + (x - self.least) / (self.most - self.least) * (RIGHT - LEFT)
    }

    fn y(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - y / self.top * (HEIGHT - BOTTOM - TOP)
    }
}

/// The next round number: 1, 2 or 5 times a power of ten.
fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// A number in few letters.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        value_abs if value_abs >= 1e9 => format!("{}G", short(value / 1e9)),
        value_abs if value_abs >= 1e6 => format!("{}M", short(value / 1e6)),
        value_abs if value_abs >= 1e4 => format!("{:.0}k", value / 1e3),
        value_abs if value_abs >= 10.0 || value == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, expected) in [(0.0, 1.0), (3.0, 5.0), (10.0, 10.0), (101.0, 200.0), (0.7, 1.0)]
        {
            assert!((nice(value) - expected).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn every_tick_is_a_round_number() {
        assert_eq!((steps(50.0), steps(0.5), steps(200.0), steps(1.0)), (5, 5, 4, 4));
        assert_eq!((span(3.0), span(14.0), span(59.0), span(300.0)), (1.0, 5.0, 10.0, 60.0));
        let shown = [0.0, 0.25, 2.5, 2.0, 40.0, 20_000.0, 2.5e6].map(short);
        assert_eq!(shown, ["0", "0.25", "2.5", "2", "40", "20k", "2.5M"]);
    }

    #[test]
    fn a_chart_draws_every_point_inside_its_frame() {
        let points = (0..10).map(|x| (f64::from(x), f64::from(x * x))).collect();
        let series = vec![Series { name: "a", points }];
        let chart = Chart { title: "t", unit: "u", x_label: short, series };
        let html = chart.html();
        assert_eq!(html.matches('L').count(), 9 + html.matches("Label").count(), "{html}");
        let empty = Chart { title: "t", unit: "u", x_label: short, series: Vec::new() };
        assert_eq!(empty.html(), "");
    }
}
