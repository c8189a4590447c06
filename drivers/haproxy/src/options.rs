//! What every server of ours is told beside its address: the same keywords in `add server` and in the file's
//! `default-server`, because HAProxy applies no `default-server` to a server added at run time.

use std::{fmt, num::NonZeroU32, time::Duration};

use serde::Serialize;

/// The keywords of every server, behind its address, id and weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerOptions {
    /// The time between two checks of a server that is up.
    pub inter: Duration,
    /// The time between two checks of a server whose last check said something new.
    pub fastinter: Duration,
    /// The time between two checks of a server that is down. HAProxy waits this long before its first check of a
    /// new server, which is down until then; where the HAProxy is ours we look sooner.
    pub downinter: Duration,
    /// Checks that must pass before a server is up.
    pub rise: u16,
    /// Checks that must fail before a server is down.
    pub fall: u16,
    /// Requests that it gets at a time, at most.
    pub maxconn: Option<NonZeroU32>,
    /// How long it takes to get its full share.
    pub slow_start: Option<Duration>,
    /// Whether it is spoken to in HTTP/2, without TLS.
    pub http2: bool,
    /// Whether bad answers (5xx but 501 and 505) and failed connections in a row take it out until its next check.
    pub observe: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            inter: Duration::from_secs(1),
            fastinter: Duration::from_millis(100),
            downinter: Duration::from_millis(500),
            rise: 1,
            fall: 2,
            maxconn: None,
            slow_start: None,
            http2: false,
            observe: false,
        }
    }
}

impl fmt::Display for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the pool settings HAProxy 2.6 reuses no connection to a dynamic server.
        write!(
            f,
            "pool-purge-delay 5s pool-max-conn -1 check inter {}ms fastinter {}ms downinter {}ms rise {} fall {}",
            self.inter.as_millis(),
            self.fastinter.as_millis(),
            self.downinter.as_millis(),
            self.rise,
            self.fall
        )?;
        if let Some(maxconn) = self.maxconn {
            write!(f, " maxconn {maxconn}")?;
        }
        if let Some(time) = self.slow_start {
            write!(f, " slowstart {}ms", time.as_millis())?;
        }
        if self.observe {
            // One bad answer is not enough: HAProxy counts a 500 too, which one bad URL may bring from each server.
            f.write_str(" observe layer7 error-limit 3 on-error mark-down")?;
        }
        if self.http2 { f.write_str(" proto h2") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_both_parsers_take() {
        let expected =
            "pool-purge-delay 5s pool-max-conn -1 check inter 1000ms fastinter 100ms downinter 500ms rise 1 fall 2";
        assert_eq!(ServerOptions::default().to_string(), expected);
    }
}
