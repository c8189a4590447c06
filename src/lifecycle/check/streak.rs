//! Up or down: so many passes in a row make it up, so many failures down. Pure.

use super::Pace;

/// What the last looks made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Streak {
    /// Whether it is up; it begins down.
    pub(super) up: bool,
    /// Looks in a row that say otherwise.
    against: u32,
}

impl Streak {
    /// After one more look.
    pub(super) fn after(self, passed: bool, pace: Pace) -> Self {
        if passed == self.up {
            return Self { against: 0, ..self };
        }
        let against = self.against + 1;
        let needed = if passed { pace.rise } else { pace.fall };
        if against >= needed { Self { up: passed, against: 0 } } else { Self { against, ..self } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` for a look that passes, `-` for one that fails; U and d for what it is after each.
    fn check(rise: u32, fall: u32, looks: &str, expected: &str) {
        let pace = Pace { rise, fall, ..Pace::default() };
        let mut streak = Streak::default();
        let seen: String = looks
            .chars()
            .map(|look| {
                streak = streak.after(look == '+', pace);
                if streak.up { 'U' } else { 'd' }
            })
            .collect();
        assert_eq!(seen, expected, "rise {rise}, fall {fall}: {looks}");
    }

    #[test]
    fn it_takes_a_row_to_change_its_mind() {
        check(1, 2, "-+-+--+", "dUUUUdU");
        check(2, 1, "+-++-++", "dddUddU");
        check(3, 3, "++-+++--+---", "dddddUUUUUUd");
    }
}
