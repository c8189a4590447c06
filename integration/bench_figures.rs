//! Tests what computes the benchmark's figures: they decide what the README says, and a benchmark target with a main
//! function of its own has no test runner.

use std::time::Duration;

use crate::{
    figures::{Figures, Unit},
    table::{Goal, Row, missed, render},
    wrk::{Report, parse},
};

fn show(unit: Unit, values: &[f64], expected: &str) {
    assert_eq!(Figures::new(unit, values.iter().copied()).show(), expected);
}

#[test]
fn figures_are_shown_as_median_and_worst() {
    show(Unit::Seconds, &[3.0, 1.0, 2.0], "2.00 s (3.00 s)");
    show(Unit::Seconds, &[0.5, 0.002, 0.004, 0.003], "3.5 ms (500.0 ms)");
    show(Unit::Mib, &[15.42], "15.4 MiB");
    show(Unit::Percent, &[0.1851, 0.1], "0.143 % (0.185 %)");
    show(Unit::Requests, &[8.0], "8");
    assert_eq!(Figures::seconds(&[Duration::from_millis(31)]).show(), "31.0 ms");
}

fn judge(theirs: f64, ours: f64, goal: Goal, ratio: &str, reached: bool) {
    let figures = |value| Figures::new(Unit::Seconds, [value]);
    let row = Row::new("x", figures(theirs), figures(ours), goal);
    let [_, _, _, shown, _, verdict] = row.cells();
    assert_eq!((shown.as_str(), row.reached()), (ratio, reached), "{goal:?}");
    assert_eq!(verdict == "MISS", !reached);
}

#[test]
fn goals_are_judged() {
    judge(30.0, 1.0, Goal::Times(30.0), "1/30.0", true);
    judge(29.9, 1.0, Goal::Times(30.0), "1/29.9", false);
    judge(1.0, 1.5, Goal::AtMost(1.5), "1.50×", true);
    judge(1.0, 1.6, Goal::AtMost(1.5), "1.60×", false);
    judge(1.0, 0.1, Goal::Within(Duration::from_millis(100)), "-", true);
    judge(1.0, 0.11, Goal::Within(Duration::from_millis(100)), "-", false);
    judge(8.0, 0.0, Goal::Zero, "-", true);
    judge(8.0, 1.0, Goal::Zero, "-", false);
    judge(2.0, 4.0, Goal::None, "1/0.5", true);
}

#[test]
fn what_is_missed_is_named() {
    let row = |what, ours, goal| Row::alone(what, Figures::new(Unit::Seconds, [ours]), goal);
    let tenth = Goal::Within(Duration::from_millis(100));
    assert_eq!(missed(&[row("a", 0.1, tenth), row("b", 1.0, Goal::None)]), None);
    let rows = [row("a", 0.2, tenth), row("b", 0.1, tenth), row("no ratio to nothing", 0.0, Goal::Times(1.0))];
    assert_eq!(missed(&rows).as_deref(), Some("missed: a; no ratio to nothing"));
}

#[test]
fn the_columns_line_up() {
    let figures = |value| Figures::new(Unit::Seconds, [value]);
    let rows = [
        Row::new("join → answer", figures(1.08), figures(0.03), Goal::Times(30.0)),
        Row::new("x", figures(1.0), figures(0.5), Goal::Times(6.0)),
        Row::alone("ours", figures(0.05), Goal::Within(Duration::from_millis(100))),
    ];
    insta::assert_snapshot!(render("Serf", &rows));
}

fn said(text: &str, requests: u64, broken: u64) {
    assert_eq!(parse(text).unwrap(), Report { requests, broken }, "{text}");
}

#[test]
fn what_wrk_says_is_read() {
    let head = "Running 1h test @ http://127.0.0.1:1/\n  1 threads and 16 connections\n";
    let body = "  161 requests in 1.02s, 21.23KB read\n";
    said(&format!("{head}{body}Requests/sec:  157.5\n"), 161, 0);
    let errors = "  Socket errors: connect 1, read 20, write 300, timeout 4000\n";
    said(&format!("{head}{body}{errors}"), 161, 4321);
    said(&format!("{head}{body}{errors}  Non-2xx or 3xx responses: 50000\n"), 161, 54_321);
    assert!(parse("unable to connect").is_err());
}
