//! The lines of `status` about certificates: one for all that are well, one for each that ends, one for each file that
//! was not taken.

use super::{Line, Mark, count};
use crate::admin::answers::{Certificate, Status};

/// What there is to say; nothing where no TLS is spoken.
pub(super) fn lines(s: &Status) -> Vec<Line> {
    let ends = s.certificates.iter().filter(|c| c.ends).map(end);
    let waits = s.certificates.iter().filter(|c| !c.live && s.up == Some(true));
    let waits = waits.map(|c| Line::new(Mark::Warn, ABOUT, format!("{}: not shown yet", c.name)));
    let errors = s.certificate_errors.iter().map(|why| Line::new(Mark::Warn, ABOUT, why.clone()));
    well(s).into_iter().chain(ends).chain(waits).chain(errors).collect()
}

const ABOUT: &str = "https";

fn well(s: &Status) -> Option<Line> {
    let well: Vec<_> = s.certificates.iter().filter(|c| c.live && !c.ends).collect();
    let next = well.iter().min_by_key(|c| &c.expires)?;
    let text = format!("{}, the next to end: {} on {}", count(well.len(), "certificate"), next.name, day(next));
    Some(Line::new(Mark::Ok, ABOUT, text))
}

fn end(c: &Certificate) -> Line {
    match c.days_left {
        None => Line::new(Mark::Fail, ABOUT, format!("{} expired on {}: clients refuse it", c.name, day(c))),
        Some(0) => Line::new(Mark::Warn, ABOUT, format!("{} expires within a day", c.name)),
        Some(days) => {
            let text =
                format!("{} expires in {}, on {}", c.name, count(usize::try_from(days).unwrap_or(0), "day"), day(c));
            Line::new(Mark::Warn, ABOUT, text)
        }
    }
}

fn day(c: &Certificate) -> &str {
    c.expires.split('T').next().unwrap_or_default()
}
