//! Whose manners the data plane has towards clients: our own, or Hipache's, for who comes from there.
//!
//! What Hipache's are, its README and its functional tests say (github.com/hipache/hipache); what each data plane makes of
//! them is the driver's.

/// How requests are answered that no server answers, and what is told to servers and clients beside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manners {
    /// 404 and 503, headers that no client forges.
    #[default]
    Ours,
    /// 400 and 502, headers of an outer proxy believed, wildcards by their own length, `X-Debug`.
    Hipache,
}

impl Manners {
    /// What a request for an unknown host or path is answered with.
    pub fn no_route_status(self) -> u16 {
        if self.is_hipache() { 400 } else { 404 }
    }

    /// What a request is answered with that no server is there for, or none answered in time.
    pub fn no_server_status(self) -> u16 {
        if self.is_hipache() { 502 } else { 503 }
    }

    /// Whether they are Hipache's.
    pub fn is_hipache(self) -> bool {
        self == Self::Hipache
    }
}

/// Labels of the longest wildcard that Hipache looks up, without the star.
pub const HIPACHE_LABELS_MAX: usize = 5;
