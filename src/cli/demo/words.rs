//! What the demo says of each load balancer: how it comes to know of a server, and how it lets go of one.

use crate::demo::Driver;

/// What happens where a web server joins.
pub(super) fn join(driver: Driver) -> &'static str {
    match driver {
        Driver::Haproxy => {
            "Web servers join. Each has an agent beside it, which gossips. The balancer hears of it and adds the server\n   \
             while HAProxy runs, without a reload. From the first answer on, 8 keep-alive clients ask without end."
        }
        Driver::Nginx => {
            "Web servers join. Each has an agent beside it, which gossips. The balancer hears of it and writes it into\n   \
             nginx's file, lets nginx check that, reloads, and makes sure that the reload took effect. From the first\n   \
             answer on, 8 keep-alive clients ask without end. A reload closes their idle connections: what found one\n   \
             closed they send again on a new one, as browsers do."
        }
        Driver::Openresty => {
            "Web servers join. Each has an agent beside it, which gossips. The balancer hears of it and hands the server to\n   \
             the Lua inside OpenResty while that runs, without a reload. From the first answer on, 8 keep-alive clients ask\n   \
             without end."
        }
    }
}

/// What happens where one leaves.
pub(super) fn leave(driver: Driver) -> &'static str {
    match driver {
        Driver::Haproxy => {
            "A web server is stopped: SIGTERM to its agent. The agent says that it drains, HAProxy gives it no new\n   \
             request, what runs ends, and only then does the agent end, and the web server after it."
        }
        Driver::Nginx => {
            "A web server is stopped: SIGTERM to its agent. The agent says that it drains, nginx is reloaded without it,\n   \
             the workers of before end what runs, and only then does the agent end, and the web server after it."
        }
        Driver::Openresty => {
            "A web server is stopped: SIGTERM to its agent. The agent says that it drains, OpenResty gives it no new\n   \
             request and counts what runs, what runs ends, and only then does the agent end, and the web server after it."
        }
    }
}
