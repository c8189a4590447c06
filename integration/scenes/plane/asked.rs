//! What a data plane is asked and told, as a recorder before its socket and a program in the place of its own have seen
//! it.

use std::path::PathBuf;

use backchat::demo::Driver;

use super::Plane;

impl Plane {
    /// The socket that it is asked at.
    pub(in crate::scenes) fn socket(&self) -> PathBuf {
        self.path(match self.driver() {
            Driver::Haproxy => "haproxy.sock",
            Driver::Nginx | Driver::Openresty => "nginx.sock",
        })
    }

    /// Whether this line of what it was sent only asks, or says how to speak.
    pub(in crate::scenes) fn is_question(&self, line: &str) -> bool {
        let begins = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
        match self.driver() {
            Driver::Haproxy => begins(&["show ", "get ", "prompt", "set severity-output ", "quit"]),
            // Of a request without a body: its line, and its headers.
            Driver::Nginx | Driver::Openresty => {
                begins(&["GET /generation ", "GET /table "]) || begins(&["Host: ", "host: ", "accept: "])
            }
        }
    }

    /// That these commands are what came first of all that it was told: by these lines on its socket, and by these calls
    /// of its program.
    pub(in crate::scenes) fn was_told(&self, commands: &[&str], sent: &[String], calls: &[String]) {
        assert!(!commands.is_empty());
        let told: Vec<&String> = sent.iter().filter(|line| !self.is_question(line)).collect();
        let seen = format!("said {commands:#?}\nsent {told:#?}\ncalled {calls:#?}");
        let is_check = |text: &str| text.split(' ').any(|word| word == "-t");
        let checks = commands.iter().filter(|command| is_check(command)).count();
        match self.driver() {
            Driver::Haproxy => {
                let said: Vec<String> = commands.iter().flat_map(|command| lines(command)).collect();
                let told: Vec<String> = told.iter().flat_map(|line| lines(line)).collect();
                assert!(told.starts_with(&said), "{seen}");
            }
            Driver::Nginx => {
                assert!(told.is_empty(), "{seen}");
                assert_eq!((checks, commands.len()), (1, 2), "{seen}");
                assert_eq!(calls.iter().filter(|call| is_check(call)).count(), checks, "{seen}");
            }
            Driver::Openresty => {
                let pushes = commands.iter().filter_map(|command| command.strip_prefix("POST /table: version "));
                let pushes: Vec<_> = pushes.filter_map(|rest| rest.split(':').next()).collect();
                let posted: Vec<_> = told.iter().filter_map(|line| line.strip_prefix("table ")).collect();
                assert!(posted.starts_with(&pushes) && checks == 0, "{seen}");
                assert_eq!(calls.iter().filter(|call| is_check(call)).count(), 0, "{seen}");
            }
        }
    }
}

/// A command line by line, as a recorder takes it down. The number of a map's new version is HAProxy's to give.
fn lines(command: &str) -> Vec<String> {
    let word = |word: &str| if word.starts_with('@') { "@".to_owned() } else { word.to_owned() };
    let lines = command.lines().map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}
