# What the scripts that make Debian trees share; to be read in by them (`. integration/mirror.sh`).

# The mirror to take packages from: of the archives that apt knows, the first of Debian's that is not the one for
# security updates. BACKCHAT_MIRROR names another.
mirror() {
    if [ -n "${BACKCHAT_MIRROR:-}" ]; then
        echo "$BACKCHAT_MIRROR"
        return
    fi
    # shellcheck disable=SC2016 # apt's own placeholders
    apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Created-By: Packages' |
        sed -n 's/ Debian$//p' | head -n 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}
