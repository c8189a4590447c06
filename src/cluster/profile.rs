//! The timings of the gossip: three profiles, and what follows from the size of the cluster.
//!
//! Measured over foca 2.0 in the simulator, for 3 to 500 nodes at 0 to 30% loss; foca's own defaults detect
//! four times slower and lose broadcasts.

use std::{
    num::{NonZeroU8, NonZeroU32, NonZeroUsize},
    time::Duration,
};

use foca::{Config, PeriodicParams};

use crate::model::Moment;

/// Fewer transmissions lose broadcasts even without packet loss: foca computes 1 for two nodes.
const MIN_TRANSMISSIONS: u8 = 8;
/// What is computed for fewer: a cluster grows, and `Foca::set_config` switches nothing on later.
const MIN_CLUSTER: usize = 10;

/// The timings of one kind of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name: `local`, `lan`, `wan`.
    pub name: &'static str,
    /// How often one member is probed.
    pub probe_period: Duration,
    /// How long a probe waits for its answer before others are asked to probe.
    pub probe_rtt: Duration,
    /// How long a suspect may refute, at the least.
    pub suspicion: Duration,
    /// How long for each power of ten of the cluster's size, where that is more.
    pub suspicion_per_decade: Duration,
    /// What the periods are multiples of. What comes again and again comes at multiples of it, from a
    /// moment of the node's own: one wake-up for all of it, where timers that drift apart take one each.
    pub beat: Duration,
    /// How often news are gossiped.
    pub gossip_period: Duration,
    /// To how many.
    pub gossip_fanout: usize,
    /// How often two of those that are down are greeted, so that a healed split is found.
    pub announce_down: Duration,
    /// How often a suspect is told that it is one, while it is.
    pub suspect_again: Duration,
    /// How long a suspect may take to answer a balancer in person.
    pub question: Duration,
    /// How often everything is exchanged with one random member, over TCP.
    pub exchange_period: Duration,
}

impl Profile {
    /// One host.
    pub const LOCAL: Self = Self {
        name: "local",
        probe_period: Duration::from_millis(200),
        probe_rtt: Duration::from_millis(60),
        suspicion: Duration::from_millis(600),
        suspicion_per_decade: Duration::ZERO,
        beat: Duration::from_millis(10),
        gossip_period: Duration::from_millis(50),
        gossip_fanout: 3,
        announce_down: Duration::from_secs(1),
        suspect_again: Duration::from_millis(100),
        question: Duration::from_millis(300),
        exchange_period: Duration::from_secs(15),
    };
    /// One site, below 5 ms.
    pub const LAN: Self = Self {
        name: "lan",
        probe_period: Duration::from_millis(300),
        probe_rtt: Duration::from_millis(100),
        // One that stands still for three seconds is back in time, in a cluster of any size.
        suspicion: Duration::from_secs(3),
        suspicion_per_decade: Duration::from_secs(2),
        beat: Duration::from_millis(100),
        gossip_period: Duration::from_millis(100),
        gossip_fanout: 3,
        announce_down: Duration::from_secs(5),
        suspect_again: Duration::from_millis(100),
        question: Duration::from_millis(300),
        exchange_period: Duration::from_secs(30),
    };
    /// Several sites, 10 to 100 ms one way.
    pub const WAN: Self = Self {
        name: "wan",
        probe_period: Duration::from_secs(1),
        probe_rtt: Duration::from_millis(400),
        suspicion: Duration::from_secs(4),
        suspicion_per_decade: Duration::from_secs(4),
        beat: Duration::from_millis(200),
        gossip_period: Duration::from_millis(200),
        gossip_fanout: 4,
        announce_down: Duration::from_secs(10),
        suspect_again: Duration::from_millis(300),
        question: Duration::from_millis(900),
        exchange_period: Duration::from_secs(60),
    };

    /// The multiple of the beat for something due at `at`: the next, or the one before if that is missed by less
    /// than a quarter of a beat.
    pub(crate) fn on_beat(&self, at: Moment) -> Moment {
        let beat = self.beat.as_micros().max(1);
        let beats = (at.as_micros() + beat * 3 / 4).div_euclid(beat);
        Duration::from_micros(u64::try_from(beats * beat).unwrap_or(u64::MAX))
    }

    /// How long a suspect may refute in a cluster of `members`.
    pub fn suspicion_for(&self, members: usize) -> Duration {
        let members = u32::try_from(members).unwrap_or(u32::MAX);
        self.suspicion.max(self.suspicion_per_decade.mul_f64(f64::from(members.max(1)).log10()))
    }

    /// foca's configuration for a cluster of `members`, this node included, and packets of at most `packet` bytes.
    pub(crate) fn config(&self, members: usize, packet: NonZeroUsize, cures: super::node::Cures) -> Config {
        let size = u32::try_from(members.max(MIN_CLUSTER)).unwrap_or(u32::MAX);
        let computed = Config::new_lan(NonZeroU32::new(size).unwrap_or(NonZeroU32::MIN));
        let transmissions = if cures.transmissions {
            transmissions(computed.max_transmissions)
        } else {
            // As foca has it, for the true size.
            let size = NonZeroU32::new(u32::try_from(members).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
            Config::new_lan(size).max_transmissions
        };
        Config {
            probe_period: self.probe_period,
            probe_rtt: self.probe_rtt,
            max_transmissions: transmissions,
            suspect_to_down_after: self.suspicion_for(members),
            // The node itself forgets: it knows who left and who failed.
            remove_down_after: None,
            max_packet_size: packet,
            notify_down_members: true,
            periodic_announce: periodic(Duration::from_secs(30), 1),
            periodic_announce_to_down_members: periodic(self.announce_down, 2),
            periodic_gossip: periodic(self.gossip_period, self.gossip_fanout),
            ..computed
        }
    }
}

/// Twice what foca computes, and never few.
fn transmissions(computed: NonZeroU8) -> NonZeroU8 {
    computed.saturating_mul(NonZeroU8::MIN.saturating_add(1)).max(NonZeroU8::MIN.saturating_add(MIN_TRANSMISSIONS - 1))
}

fn periodic(frequency: Duration, members: usize) -> Option<PeriodicParams> {
    Some(PeriodicParams { frequency, num_members: NonZeroUsize::new(members)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::node::Cures;

    fn check(profile: Profile, members: usize, transmissions: u8, suspicion_ms: u64) {
        let packet = NonZeroUsize::new(1300).unwrap();
        let config = profile.config(members, packet, Cures::default());
        assert_eq!(config.max_transmissions.get(), transmissions, "{} {members}", profile.name);
        assert_eq!(config.suspect_to_down_after.as_millis(), u128::from(suspicion_ms), "{} {members}", profile.name);
    }

    #[test]
    fn what_follows_from_the_size() {
        check(Profile::LOCAL, 2, 8, 600);
        check(Profile::LOCAL, 1000, 24, 600);
        check(Profile::LAN, 1, 8, 3000);
        check(Profile::LAN, 10, 8, 3000);
        check(Profile::LAN, 100, 16, 4000);
        check(Profile::WAN, 1000, 24, 12000);
    }

    #[test]
    fn what_is_periodic_keeps_to_the_beat() {
        let check = |at: u64, expected: u64| {
            let ms = Duration::from_millis;
            assert_eq!(Profile::LAN.on_beat(ms(at)), ms(expected), "{at}");
        };
        for (at, expected) in [(0, 0), (300, 300), (301, 300), (324, 300), (325, 400), (399, 400)] {
            check(at, expected);
        }
        for profile in [Profile::LOCAL, Profile::LAN, Profile::WAN] {
            for period in [profile.probe_period, profile.probe_rtt, profile.gossip_period, profile.announce_down] {
                assert_eq!(period.as_micros() % profile.beat.as_micros(), 0, "{} {period:?}", profile.name);
            }
        }
    }

    #[test]
    fn a_grown_cluster_keeps_what_foca_cannot_change() {
        let packet = NonZeroUsize::new(1300).unwrap();
        for profile in [Profile::LOCAL, Profile::LAN, Profile::WAN] {
            let (small, large) = [1, 5000].map(|n| profile.config(n, packet, Cures::default())).into();
            assert_eq!((small.probe_period, small.probe_rtt), (large.probe_period, large.probe_rtt));
            assert!(small.periodic_gossip.is_some() && small.periodic_announce_to_down_members.is_some());
        }
    }
}
