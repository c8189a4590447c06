//! `--hipache`: every black-box case of Hipache's own functional tests, on each data plane. A case says in a word or two
//! what it saw; the table in the README holds these words, and is compared with them.

mod answers;
mod bodies;
mod dead;
mod headers;
mod hosts;
mod rigs;
mod server;
mod table;

pub(crate) use rigs::Hipache;

/// The cases: `table!(module::case: "the row's title", …)`. Each is a test for each data plane.
macro_rules! cases {
    ($($module:ident::$case:ident: $title:literal,)*) => {
        /// The titles of the rows, in their order.
        const TITLES: &[&str] = &[$($title),*];

        cases!(@plane haproxy HaproxyRig $($module $case $title)*);
        cases!(@plane nginx NginxRig $($module $case $title)*);
        cases!(@plane openresty OpenrestyRig $($module $case $title)*);
        cases!(@plane attached_nginx AttachedNginx $($module $case $title)*);
        cases!(@plane attached_openresty AttachedOpenresty $($module $case $title)*);
    };
    (@plane $plane:ident $rig:ident $($module:ident $case:ident $title:literal)*) => {
        mod $plane {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let seen = super::$module::$case::<crate::conformance::$rig>().await;
                super::table::check::<crate::conformance::$rig>($title, &seen);
            })*
        }
    };
}

cases! {
    hosts::exact: "exact hosts, of one label and of thirteen",
    hosts::wildcards: "wildcards: the longest first, any depth, five labels at most; never the naked domain",
    hosts::no_host: "no host, an invalid or an unknown one: 400",
    hosts::ping: "host `__ping__`: 200",
    answers::nobody: "nobody to answer, too late or all retries in vain: 502",
    answers::theirs: "a status that a server sent stays, 503 and 504 too",
    answers::methods: "GET, HEAD, OPTIONS, DELETE, POST, PUT",
    answers::trace: "TRACE is passed on",
    answers::malformed_uri: "a malformed URI is passed on (``/pipo&%$#(``)",
    bodies::big_put: "a chunked PUT of 500 MB goes on as it comes",
    bodies::too_long: "a server's body that is too long: 200, cut",
    bodies::too_short: "a server's body that is too short: an early close",
    dead::refuses: "a server that refuses is left out for 30 s, and no client sees it",
    dead::all_dead: "all dead: 502 at once",
    dead::never_answers: "a server that does not answer in time is left out",
    dead::answers_502: "a server that answers 502 is left out",
    dead::answers_501: "a server that answers 501 is left out",
    dead::answers_500: "a server that answers 500 stays",
    dead::retry_after: "a server that answers 503 with Retry-After stays",
    dead::the_only_one: "the only server stays, whatever it answers",
    headers::forwarded: "X-Forwarded-For, -Proto, -Protocol, -Port, X-Real-IP where the client sent none",
    headers::debug: "X-Debug: what, who and how long",
    headers::access_log: "access log: combined, the service, seconds in all and of the server",
}
