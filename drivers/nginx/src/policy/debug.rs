//! What a client is told who asks with Hipache's `X-Debug`: headers of the answer. The template says what the variables
//! are; which endpoint an address is, nginx does not know.

/// Names, and the variables that are empty where nobody asks.
const HEADERS: [[&str; 2]; 5] = [
    ["x-debug-backend-url", "$bc_debug_url"],
    ["x-debug-vhost", "$bc_debug_vhost"],
    ["x-debug-frontend-key", "$bc_debug_key"],
    ["x-debug-time-total", "$bc_debug_total"],
    ["x-debug-time-backend", "$bc_debug_backend"],
];

/// nginx takes none of the server's headers over into a location that says one of its own: such a one says these again.
pub(crate) fn keep(location: &mut Vec<String>) {
    if let Some(own) = location.iter().position(|line| line.starts_with("add_header ")) {
        let lines = HEADERS.map(|[name, variable]| format!("add_header {name} {variable} always;"));
        location.splice(own..own, lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_the_templates() {
        for template in [
            include_str!("../../../../templates/nginx.conf.jinja"),
            include_str!("../../../../templates/nginx-include.conf.jinja"),
        ] {
            let said = template.lines().map(str::trim).filter(|line| line.starts_with("add_header x-debug-"));
            let ours = HEADERS.map(|[name, variable]| format!("add_header {name} {variable} always;"));
            assert_eq!(said.collect::<Vec<_>>(), ours);
        }
    }

    #[test]
    fn a_location_with_headers_of_its_own_says_them_again() {
        let mut plain = vec!["proxy_pass http://web;".to_owned()];
        keep(&mut plain);
        assert_eq!(plain.len(), 1);
        let mut own = vec!["add_header A \"b\" always;".to_owned()];
        keep(&mut own);
        assert_eq!(own.len(), 6);
        assert_eq!(own[0], "add_header x-debug-backend-url $bc_debug_url always;");
    }
}
