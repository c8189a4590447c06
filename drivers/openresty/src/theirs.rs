//! What somebody's configuration lacks for our Lua, or has already, in nginx's words: with what is to be done. Pure.

use backchat_contract::DriverError;

/// Beside the reason of a check that failed, where it is one of these.
pub(crate) fn with_remedy(error: DriverError) -> DriverError {
    let DriverError::Check { file, message } = error else { return error };
    let told = |reason: &str| remedy(reason).map_or_else(|| reason.to_owned(), |remedy| format!("{reason}; {remedy}"));
    let message = message.split("; ").map(told).collect::<Vec<_>>().join("; ");
    DriverError::Check { file, message }
}

fn remedy(reason: &str) -> Option<&'static str> {
    // Which directive it is nginx says of one that names a file, and not of one with a block.
    if reason.starts_with("is duplicate") || reason.starts_with("\"init_") && reason.contains("is duplicate") {
        return Some(
            "nginx takes one init_by_lua and one init_worker_by_lua, and the file of ours has both: put yours into a \
             --template (backchat template show openresty-include), or do without Lua (--openresty-mode reload)",
        );
    }
    let lacks = ["lua_", "init_by_lua_block", "balancer_by_lua_block"];
    let lacks = lacks.iter().any(|word| reason.starts_with(&format!("unknown directive \"{word}")));
    lacks.then_some(
        "the nginx there has no Lua: its nginx.conf needs 'load_module' for ndk_http_module.so and \
         ngx_http_lua_module.so (Debian: libnginx-mod-http-lua brings both), or do without (--openresty-mode reload)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, remedy: Option<&str>) {
        let error =
            DriverError::Check { file: "/etc/nginx/nginx.conf".into(), message: format!("{message}; so be it") };
        let before = error.to_string();
        let told = with_remedy(error).to_string();
        match remedy {
            None => assert_eq!(told, before),
            Some(remedy) => {
                let behind = told.strip_prefix(before.trim_end_matches("; so be it")).unwrap();
                assert!(
                    behind.starts_with("; ") && behind.contains(remedy) && behind.ends_with("; so be it"),
                    "{told}"
                );
            }
        }
    }

    /// As 1.22 with Lua 0.10.23 says it.
    #[test]
    fn what_can_be_mended_is_told() {
        check("is duplicate in /etc/nginx/nginx.conf:5", Some("--template"));
        check("\"init_by_lua_file\" directive is duplicate in /etc/nginx/nginx.conf:5", Some("--template"));
        check("\"init_worker_by_lua_block\" directive is duplicate in /x:5", Some("--openresty-mode reload"));
        check("unknown directive \"lua_shared_dict\" in /etc/nginx/conf.d/b.conf:8", Some("load_module"));
        check("unknown directive \"lua_shared_dict\": 'lua_shared_dict backchat_table 1k;'", Some("load_module"));
        check("unknown directive \"nonsense\" in /x:8", None);
        check("\"root\" directive is duplicate in /x:8", None);
        check("duplicate upstream \"backchat\" in /x:8", None);
        let other = DriverError::Reload { message: "is duplicate".into() };
        assert_eq!(with_remedy(other).to_string(), "reload: is duplicate");
    }
}
