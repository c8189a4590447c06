-- The balancer inside nginx: which service a request is for, and which of its endpoints takes it.
--
-- Services, endpoints and routes are one table of text lines in a shared dict. backchat replaces it as a whole through
-- the admin server, or the endpoints of a few services by a patch, which lies behind it there; each worker compares the
-- version on every request, so that no request is served from an older one. The configuration file holds the same lines
-- as comments: they are read where the dict has nothing newer.

local balancer = require "ngx.balancer"

local dict, flight = ngx.shared.backchat_table, ngx.shared.backchat_flight
local find, match, sub = string.find, string.match, string.sub

-- A failed peer gets no request for so many seconds, twice as long each further time, unless there is no other.
local HOLD, HOLD_MAX = 1, 8
-- As Hipache has it, one that cannot be reached is left out for so many seconds.
local DEAD = 30
-- Other peers to try for one request.
local MORE_TRIES = 3
-- The longest path a route may have, in bytes.
local PATH_MAX = 256
-- nginx's own word for an upstream without a server that could be asked: 502.
local BUSY = -3
-- Labels that a wildcard stands for, at most.
local LABELS_MAX = 5
-- Patches behind one table, at most: a new worker reads them all.
local PATCHES_MAX = 1000

local M = {}
local settings = {}
-- What this worker serves, and which version of it.
local live = { version = 0, services = {}, hosts = {}, peers = {} }
-- The peers that failed: address -> { count, until }.
local failures = {}
local pid

-- Reading the table: strictly, for what is wrong in it must not reach a request ------------------------------------

-- A host as nginx takes it, without a name service: 10.0.0.7, [2001:db8::7].
local function is_ip(host)
    local a, b, c, d = match(host, "^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$")
    if a then
        return a + 0 < 256 and b + 0 < 256 and c + 0 < 256 and d + 0 < 256
    end
    return find(host, "^%[%x*:[%x:]*:[%x:.]*%]$") ~= nil
end

local read = {}

function read.service(into, rest)
    local name, protocol = match(rest, "^(%w[%w_.-]*) (%l+)$")
    if not name or #name > 64 or (protocol ~= "http" and protocol ~= "tcp") then
        return "no service"
    elseif into.services[name] then
        return "a service that is there already"
    end
    into.services[name] = { http = protocol == "http", ready = {} }
end

-- There may be ten thousand of these: one match for the whole line, and no text of its own for it.
local ENDPOINT = "^endpoint ((%w[%w_.-]*)/%w[%w_.:-]*) (([%x:.%[%]]+):(%d%d?%d?%d?%d?)) (%d%d?%d?) (%l+)\n"

local function endpoint(into, id, name, addr, host, port, weight, state)
    local service, peer = into.services[name], live.peers[id]
    weight = tonumber(weight)
    -- Most are as they were: those were looked at before, and keep their turn.
    if not peer or peer.addr ~= addr or peer.weight ~= weight then
        port = tonumber(port)
        if port < 1 or port > 65535 or weight > 256 or not is_ip(host) then
            return "no endpoint"
        end
        peer = { id = id, addr = addr, host = host, port = port, weight = weight }
    end
    if state ~= "ready" and state ~= "drain" then
        return "no endpoint"
    elseif not service then
        return "an endpoint of an unknown service"
    elseif into.peers[id] then
        return "an endpoint that is there already"
    end
    into.peers[id] = peer
    if state == "ready" and weight > 0 then
        service.ready[#service.ready + 1] = peer
    else
        service.others = service.others or {}
        service.others[#service.others + 1] = peer
    end
end

function read.endpoint()
    return "no endpoint"
end

read["end"] = function()
    return "not the end after so many lines"
end

function read.route(into, rest)
    local host, path, name = match(rest, "^([%l%d.*<>-]+) (/[%w_.~/-]*) (%w[%w_.-]*)$")
    if not host or #host > 255 or #path > PATH_MAX or into.is_patch then
        return "no route"
    elseif not into.services[name] then
        return "a route onto an unknown service"
    end
    local paths = into.hosts[host]
    if not paths then
        paths = {}
        into.named = into.named or find(host, "<", 1, true) ~= nil
        into.hosts[host] = paths
    end
    -- The root is what is left when all segments are cut.
    path = path == "/" and "" or path
    if paths[path] then
        return "a route that is there already"
    end
    paths[path] = name
end

-- The table or the patch that a text holds, or nil and what is wrong with it.
local function parse(text)
    local kind, version = match(text, "^(%l+) (%d%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?%d?)\n")
    version = tonumber(version)
    if (kind ~= "table" and kind ~= "patch") or version < 1 then
        return nil, "line 1: no 'table VERSION'"
    end
    local into = { version = version, is_patch = kind == "patch", services = {}, hosts = {}, peers = {} }
    local at, line = find(text, "\n", 1, true) + 1, 1
    while true do
        line = line + 1
        local first, last, id, name, addr, host, port, weight, state = find(text, ENDPOINT, at)
        local wrong
        if first then
            wrong = endpoint(into, id, name, addr, host, port, weight, state)
        else
            last = find(text, "\n", at, true)
            if not last then
                return nil, "line " .. line .. ": cut off"
            end
            local word, rest = match(sub(text, at, last - 1), "^(%l+) (.*)$")
            if word == "end" and rest == tostring(line) and last == #text then
                return into
            end
            wrong = not read[word] and "no such word" or read[word](into, rest)
        end
        if wrong then
            return nil, "line " .. line .. ": " .. wrong .. ": " .. sub(text, at, math.min(last - 1, at + 80))
        end
        at = last + 1
    end
end

-- Which table is served --------------------------------------------------------------------------------------------

-- Peers that stay keep their turn, and new ones begin at a random one: otherwise each push and each new worker would
-- send its first requests to the same peer.
local function keep_turns(new)
    for id, peer in pairs(new.peers) do
        if not peer.turn then
            local before = live.peers[id]
            peer.turn = before and before.turn or math.random() * peer.weight
        end
    end
end

-- Makes a table the one that this worker serves.
local function serve(new)
    keep_turns(new)
    live = new
    -- Those that nobody asks any more would stay for ever.
    for addr, failure in pairs(failures) do
        if failure.till + HOLD_MAX < ngx.now() then
            failures[addr] = nil
        end
    end
end

-- Why a patch does not fit onto what this worker serves; nil where it does.
local function misfit(patch)
    for name, service in pairs(patch.services) do
        local before = live.services[name]
        if not before or before.http ~= service.http then
            return "a patch of a service that is not there: " .. name
        end
    end
end

local function forget(peers)
    for _, peer in ipairs(peers or {}) do
        live.peers[peer.id] = nil
    end
end

-- Puts the services of a patch that fits in the place of what they were.
local function amend(patch)
    keep_turns(patch)
    for name, service in pairs(patch.services) do
        forget(live.services[name].ready)
        forget(live.services[name].others)
        live.services[name] = service
    end
    for id, peer in pairs(patch.peers) do
        live.peers[id] = peer
    end
    live.version = patch.version
end

-- The table that a version is a patch of, which may be that version itself. A patch lies beside how many there are.
local function base_of(version)
    local _, patches = dict:get("patch " .. version)
    return version - (patches or 0)
end

-- Brings this worker to a version; what is wrong, if anything.
local function follow(version)
    local base = base_of(version)
    if live.version < base or live.version > version then
        local text = dict:get("table " .. base)
        local new, wrong = nil, "it is lost"
        if text then
            new, wrong = parse(text)
        end
        if not new then
            return wrong
        end
        serve(new)
    end
    for nth = live.version + 1, version do
        local text = dict:get("patch " .. nth)
        local new, wrong = nil, "a patch of it is lost"
        if text then
            new, wrong = parse(text)
        end
        wrong = wrong or misfit(new)
        if wrong then
            return wrong
        end
        amend(new)
    end
end

-- Brings this worker to the version that was pushed last.
local function refresh()
    local version = dict:get("version")
    while version and version ~= live.version do
        local wrong = follow(version)
        local newer = dict:get("version")
        if wrong and newer == version then
            -- It was read before it was stored: only the dict itself can have failed. What was served goes on.
            ngx.log(ngx.ERR, "backchat: the table in the dict: ", wrong)
            live.version = version
        end
        version = newer
    end
end

-- Puts a table into the dict; what is wrong, if anything. The old one is there until the new one is.
local function store(version, text)
    local stored, wrong = dict:safe_set("table " .. version, text)
    if not stored then
        dict:delete("table " .. version)
        return wrong
    end
    local before = dict:get("version")
    local base = base_of(before)
    dict:set("version", version)
    dict:delete("table " .. base)
    for nth = base + 1, before do
        dict:delete("patch " .. nth)
    end
end

-- Puts a patch behind what is there; what is wrong, if anything.
local function store_patch(version, text)
    local patches = version - base_of(version - 1)
    local stored, wrong = false, "no more patches than " .. PATCHES_MAX
    if patches <= PATCHES_MAX then
        stored, wrong = dict:safe_set("patch " .. version, text, 0, patches)
    end
    if not stored then
        dict:delete("patch " .. version)
        return wrong
    end
    dict:set("version", version)
end

-- Whose turn it is: each candidate's turn grows by its weight, the greatest is taken and pays for all ---------------

local chosen = {}

function chosen.turn(peers, is)
    local best, total = nil, 0
    for i = 1, #peers do
        local peer = peers[i]
        if not is or is(peer) then
            peer.turn = peer.turn + peer.weight
            total = total + peer.weight
            if not best or peer.turn > best.turn then
                best = peer
            end
        end
    end
    if best then
        best.turn = best.turn - total
    end
    return best
end

-- Requests that this worker has with each: endpoint -> how many.
local active = {}

-- The one with the fewest requests for its weight; of several, whose turn it is.
function chosen.least(peers, is)
    local fewest
    for i = 1, #peers do
        local peer = peers[i]
        if not is or is(peer) then
            local load = (active[peer.id] or 0) / peer.weight
            fewest = math.min(fewest or load, load)
        end
    end
    return chosen.turn(peers, function(peer)
        return (not is or is(peer)) and (active[peer.id] or 0) / peer.weight == fewest
    end)
end

-- Any, by weight.
function chosen.random(peers, is)
    local best, total = nil, 0
    for i = 1, #peers do
        local peer = peers[i]
        if not is or is(peer) then
            total = total + peer.weight
            if math.random() * total < peer.weight then
                best = peer
            end
        end
    end
    return best
end

-- The same for the same key, whoever else comes and goes: each peer draws by the key, and the luckiest has it
-- (rendezvous hashing, Thaler and Ravishankar 1998).
function chosen.hash(peers, is, key)
    local best, luckiest
    for i = 1, #peers do
        local peer = peers[i]
        if not is or is(peer) then
            local a, b, c, d = string.byte(ngx.md5_bin(key .. " " .. peer.addr), 1, 4)
            local drawn = (a * 2 ^ 24 + b * 2 ^ 16 + c * 2 ^ 8 + d + 0.5) / 2 ^ 32
            local luck = -peer.weight / math.log(drawn)
            if not best or luck > luckiest then
                best, luckiest = peer, luck
            end
        end
    end
    return best
end

-- All but the dead, where there is more than one.
local function living(peers)
    if #peers < 2 or not flight:get("dead") then
        return peers
    end
    local some = {}
    for i = 1, #peers do
        if flight:get("down " .. peers[i].addr) ~= "dead" then
            some[#some + 1] = peers[i]
        end
    end
    return some
end

-- A peer for a request that tried these in vain. Those that failed lately, and those tried already, come only where
-- there is no other: a kept-alive connection may have been closed by a peer that is well.
local function pick(peers, tried, policy)
    local choose = chosen[policy.by or "turn"]
    local key = policy.variable and ngx.var[policy.variable] or ""
    if settings.hipache then
        peers = living(peers)
    end
    if not tried and not next(failures) then
        return choose(peers, nil, key)
    end
    tried = tried or {}
    local now = ngx.now()
    local function untried(peer)
        return not tried[peer.addr]
    end
    local function sound(peer)
        local failure = failures[peer.addr]
        return untried(peer) and not (failure and failure.till > now)
    end
    return choose(peers, sound, key) or choose(peers, untried, key) or choose(peers, nil, key)
end

local function failed(peer)
    local failure = failures[peer.addr] or { count = 0 }
    local hold = math.min(HOLD * 2 ^ failure.count, HOLD_MAX)
    failures[peer.addr] = { count = failure.count + 1, till = ngx.now() + hold }
    -- For people and for backchat to see: from any worker.
    local key = "down " .. peer.addr
    if flight:get(key) ~= "dead" then
        flight:safe_set(key, true, hold)
    end
end

-- Where all is as Hipache has it: no worker asks it again for a while, if there is another.
local function bury(peer, name)
    local service = live.services[name]
    if service and #service.ready > 1 then
        flight:safe_set("down " .. peer.addr, "dead", DEAD)
        flight:safe_set("dead", true, DEAD)
    end
end

-- A peer has not answered a request. Hipache's dead are those that cannot be reached or let one wait; one that closed a
-- connection may have closed a kept-alive one, and may be well. `connected` is the time that it took, if it did.
local function lost(request, connected, late)
    if settings.hipache and (late or not connected) then
        bury(request.peer, request.service)
    else
        failed(request.peer)
    end
end

-- What is in flight: one counter for each worker and endpoint, for a worker that dies takes its requests along ------

local function enter(peer)
    active[peer.id] = (active[peer.id] or 0) + 1
    peer.key = peer.key or pid .. " " .. peer.id
    local count, _, forcible = flight:incr(peer.key, 1, 0)
    if not count or forcible then
        -- Some counter is lost: nobody may be told to be idle any more.
        flight:set("lost", true)
    end
end

local function leave(peer)
    local left = (active[peer.id] or 1) - 1
    active[peer.id] = left > 0 and left or nil
    -- Only this worker counts here: nobody else can have entered in between.
    if flight:incr(peer.key, -1) == 0 then
        flight:delete(peer.key)
    end
end

-- The phases of a request ------------------------------------------------------------------------------------------

local function by_path(paths, path)
    local stop = #path + 1
    if stop > PATH_MAX + 1 then
        stop = PATH_MAX + 1
        while stop > 1 and sub(path, stop, stop) ~= "/" do
            stop = stop - 1
        end
    end
    while true do
        local name = paths[sub(path, 1, stop - 1)]
        if name then
            return name
        elseif stop <= 1 then
            return nil
        end
        repeat
            stop = stop - 1
        until stop <= 1 or sub(path, stop, stop) == "/"
    end
end

-- 0 to 255, without noughts in front.
local function octets(...)
    for i = 1, 4 do
        local octet = select(i, ...)
        if octet + 0 > 255 or (#octet > 1 and sub(octet, 1, 1) == "0") then
            return false
        end
    end
    return true
end

-- Groups of an IPv6 address with dashes between them: how many, or nil where one is none.
local function groups(text)
    if text == "" then
        return 0
    end
    local count = 0
    for group in string.gmatch(text .. "-", "([^-]*)-") do
        if not find(group, "^%x%x?%x?%x?$") then
            return nil
        end
        count = count + 1
    end
    return count
end

-- Eight groups, or '--' once with at most six on each side.
local function is_v6(text)
    local before, after = match(text, "^(.-)%-%-(.*)$")
    if not before then
        return groups(text) == 8
    end
    return (groups(before) or 7) <= 6 and (groups(after) or 7) <= 6
end

-- The name of a host with an address in it, in each of its spellings: name.10.1.2.3.domain, name.10-1-2-3.domain,
-- name-10-1-2-3.domain, name.2a01-4f8--1.domain; nil where it is none.
local function named(host)
    local label, a, b, c, d, domain = match(host, "^([^.]+)%.(%d+)%.(%d+)%.(%d+)%.(%d+)%.(.+)$")
    if not (label and octets(a, b, c, d)) then
        label, a, b, c, d, domain = match(host, "^([^.]+)[.-](%d+)%-(%d+)%-(%d+)%-(%d+)%.(.+)$")
        if not (label and octets(a, b, c, d)) then
            local ip
            label, ip, domain = match(host, "^([^.]+)%.([%x-]+)%.(.+)$")
            if not (label and is_v6(ip)) then
                return nil
            end
        end
    end
    return label .. ".<ip>." .. domain
end

local function service_for(host, path)
    local hosts = live.hosts
    local name = hosts[host] and by_path(hosts[host], path)
    if not name and live.named then
        local paths = hosts[named(host)]
        name = paths and by_path(paths, path)
    end
    local rest = host
    if settings.hipache then
        -- A wildcard counts by its own length, not by what is before it.
        local _, dots = string.gsub(host, "%.", "")
        for _ = LABELS_MAX + 1, dots do
            rest = sub(rest, find(rest, ".", 1, true) + 1)
        end
    end
    for _ = 1, LABELS_MAX do
        if name then
            return name
        end
        local dot = find(rest, ".", 1, true)
        if not dot then
            break
        end
        rest = sub(rest, dot + 1)
        local paths = hosts["*." .. rest]
        name = paths and by_path(paths, path)
    end
    return name or (hosts["*"] and by_path(hosts["*"], path))
end

local function answer(status, text, stop)
    text = text .. (stop or "\n")
    ngx.status = status
    ngx.header.content_length = #text
    ngx.print(text)
    return ngx.exit(status)
end

-- How a service is balanced.
local NO_POLICY = {}

local function policy_of(name)
    return settings.services[name] or NO_POLICY
end

local function serves(name)
    local service = live.services[name]
    return service and service.http and #service.ready > 0
end

-- The service itself or one of its canaries; where one of them has nobody, the other answers.
local function pool(name)
    local canaries = policy_of(name).canaries
    -- One draw a request: each share begins where the one before ended.
    local draw, from = canaries and math.random(0, 9999), 0
    for _, canary in ipairs(canaries or {}) do
        if serves(canary.service) then
            local picked
            if canary.share then
                picked = draw >= from and draw < from + canary.share
            else
                picked = ngx.var[canary.variable] == canary.value
            end
            if picked or not serves(name) then
                return canary.service
            end
        end
        from = from + (canary.share or 0)
    end
    return name
end

local function begin(name)
    if not serves(name) then
        return answer(settings.no_server_status or 503, "no server for this service")
    end
    ngx.ctx.backchat = { service = name }
end

local function name_service(name)
    ngx.var.bc_log_service = name
end

-- access_by_lua: finds the service, or answers.
function M.route()
    refresh()
    local said, host = ngx.var.http_host, ngx.var.host
    if (not said or said == "") and find(ngx.var.server_protocol, "^HTTP/3") then
        -- It has no header of that name.
        said = host
    end
    -- A request is for the host that it says: not for another in its first line, nor with anything behind but a port.
    local bare = said and string.lower(said):gsub(":%d*$", ""):gsub("%.$", "")
    if not said or said == "" or host == "" or bare ~= host then
        return answer(400, "no host, or more than one")
    end
    if settings.hipache and host == "__ping__" then
        return answer(200, "OK", "")
    end
    local name = service_for(host, match(ngx.var.request_uri, "^[^?#]*"))
    local service = name and live.services[name]
    if not service or not service.http then
        return answer(settings.no_route_status, "no route for this host and path")
    end
    name = pool(name)
    if settings.names_service then
        -- In a location of somebody else's own there may be no such variable, and then nobody logs it.
        pcall(name_service, name)
    end
    local location = policy_of(name).location
    if location then
        return ngx.exec(location)
    end
    return begin(name)
end

-- access_by_lua of a service's own location: what was found is its.
function M.enter(name)
    refresh()
    return begin(name)
end

-- balancer_by_lua: finds the endpoint, once more for each one that fails.
function M.balance()
    local request = ngx.ctx.backchat
    if not request then
        ngx.log(ngx.ERR, "backchat: this location has no route() in its access_by_lua")
        return ngx.exit(ngx.ERROR)
    end
    if request.peer then
        -- The last of the list is the try that begins here.
        local connected = match(ngx.var.upstream_connect_time or "", "[%d.]+, %-$")
        local _, status = balancer.get_last_failure()
        lost(request, connected, status == 504)
        leave(request.peer)
        request.tried = request.tried or {}
        request.tried[request.peer.addr] = true
        request.peer = nil
    end
    local peer
    repeat
        refresh()
        local service = live.services[request.service]
        local policy = policy_of(request.service)
        peer = service and pick(service.ready, request.tried, policy)
        if not peer then
            -- Its last one has gone since the request was routed: while its body came in.
            return ngx.exit(BUSY)
        end
        enter(peer)
        -- A table that was pushed since may have let this one go, and somebody may have read that it is idle.
        local newest = dict:get("version") == live.version
        if not newest then
            leave(peer)
        elseif not request.tried then
            local more = math.min(#service.ready - 1, policy.retries or MORE_TRIES)
            if more > 0 then
                balancer.set_more_tries(more)
            end
        end
    until newest
    request.peer = peer
    local set, wrong = balancer.set_current_peer(peer.host, peer.port)
    if not set then
        ngx.log(ngx.ERR, "backchat: ", peer.id, " at ", peer.addr, ": ", wrong)
        return ngx.exit(ngx.ERROR)
    end
end

-- The last one of a list has no comma behind it; '-' where no header came.
local function last_time(list)
    return match(list or "", "([%d.]+)$")
end

local function millis(seconds)
    return seconds and math.floor(seconds * 1000 + 0.5)
end

-- Who answered, and how soon, in the headers that Hipache has for it.
local function debug(request, waited)
    local headers, peer = ngx.header, request and request.peer
    headers["x-debug-frontend-key"] = ngx.var.host
    headers["x-debug-time-total"] = millis(ngx.now() - ngx.req.start_time())
    if request then
        headers["x-debug-vhost"] = request.service
    end
    if peer then
        headers["x-debug-backend-url"] = "http://" .. peer.addr
        headers["x-debug-backend-id"] = match(peer.id, "/(.*)$")
        headers["x-debug-time-backend"] = millis(waited)
    end
end

-- header_filter_by_lua, where all is as Hipache has it: before the client hears anything.
function M.header()
    local request = ngx.ctx.backchat
    local peer = request and request.peer
    local waited = peer and last_time(ngx.var.upstream_header_time)
    if waited then
        local status = tonumber(match(ngx.var.upstream_status or "", "(%d+)$")) or 0
        local comes_back = status == 503 and ngx.var.upstream_http_retry_after
        if status > 500 and status < 600 and not comes_back then
            bury(peer, request.service)
        end
    elseif peer and (ngx.status == 502 or ngx.status == 504) then
        lost(request, last_time(ngx.var.upstream_connect_time), ngx.status == 504)
        if ngx.status == 504 then
            -- nginx's own, and not its server's.
            request.text = "the server did not answer in time\n"
            ngx.status = 502
            ngx.header.content_type = "text/plain"
            ngx.header.content_length = #request.text
        end
    end
    if ngx.var.http_x_debug then
        debug(request, waited)
    end
end

-- body_filter_by_lua: what is said in place of nginx's own words.
function M.body()
    local request = ngx.ctx.backchat
    if request and request.text then
        ngx.arg[1], request.text = request.text, ""
    end
end

-- log_by_lua: the request has ended, one way or another.
function M.done()
    local request = ngx.ctx.backchat
    local peer = request and request.peer
    if not peer then
        return
    end
    leave(peer)
    local answered = last_time(ngx.var.upstream_header_time)
    if answered and failures[peer.addr] then
        failures[peer.addr] = nil
        if flight:get("down " .. peer.addr) ~= "dead" then
            flight:delete("down " .. peer.addr)
        end
    elseif not answered and not settings.hipache and (ngx.status == 502 or ngx.status == 504) then
        failed(peer)
    end
end

-- The admin server -------------------------------------------------------------------------------------------------

local function body()
    ngx.req.read_body()
    local text = ngx.req.get_body_data()
    if text then
        return text
    end
    -- What is larger than the buffer is in a file.
    local path = ngx.req.get_body_file()
    local file = path and io.open(path, "rb")
    if not file then
        return nil
    end
    text = file:read("*a")
    file:close()
    return text
end

-- Which table is served: one number of one life of the shared memory. nginx has its own mind about If-Match.
local function at()
    return dict:get("boot") .. "-" .. dict:get("version")
end

-- Counters of workers that are gone are dropped; what is left is summed up.
local function flights()
    local sums, down, alive = {}, {}, {}
    for _, key in ipairs(flight:get_keys(0)) do
        local worker, id = match(key, "^(%d+) (.*)$")
        local addr = match(key, "^down (.+)$")
        if worker and alive[worker] == nil then
            local file = io.open("/proc/" .. worker .. "/stat")
            alive[worker] = file ~= nil
            if file then
                file:close()
            end
        end
        if worker and alive[worker] and id ~= "" then
            sums[id] = (sums[id] or 0) + (flight:get(key) or 0)
        elseif worker and not alive[worker] then
            flight:delete(key)
        elseif addr and flight:get(key) then
            down[#down + 1] = addr
        end
    end
    return sums, down, alive
end

-- The version that somebody says he has: of this life, or nil.
local function known_version(said)
    local boot, version = match(said or "", "^(%x+)%-(%d+)$")
    return boot == dict:get("boot") and tonumber(version) or nil
end

-- What is served, in text: the table and its patches, or what of these is new to one who has a version. A version of
-- one life is one table: who has it need not be told again.
local function served(known)
    local texts, version
    repeat
        -- Another worker may put another one in its place between two looks.
        version = dict:get("version")
        local base, whole = base_of(version), true
        local knows = known and known >= base and known <= version and dict:ttl("table " .. base)
        texts = { not knows and dict:get("table " .. base) or nil }
        for nth = (knows and known or base) + 1, version do
            local patch = dict:get("patch " .. nth)
            texts[#texts + 1], whole = patch, whole and patch
        end
        whole = whole and (knows or texts[1])
    until whole or version == dict:get("version")
    if version == known then
        return "same\n"
    end
    return #texts > 0 and table.concat(texts) or "none\n"
end

local function show()
    refresh()
    local lines = {
        "backchat 1",
        "nginx " .. ngx.var.nginx_version,
        "boot " .. dict:get("boot"),
        "version " .. dict:get("version"),
        "generation " .. settings.generation,
        "structure " .. settings.structure,
        "capacity " .. dict:capacity(),
        "patches " .. dict:get("version") - base_of(dict:get("version")),
    }
    local sums, down, alive = flights()
    for id, sum in pairs(sums) do
        lines[#lines + 1] = "flight " .. id .. " " .. sum
    end
    for worker, lives in pairs(alive) do
        lines[#lines + 1] = lives and "worker " .. worker or nil
    end
    for _, addr in ipairs(down) do
        lines[#lines + 1] = "down " .. addr
    end
    if flight:get("lost") then
        lines[#lines + 1] = "lost"
    end
    lines[#lines + 1] = served(known_version(ngx.var.http_backchat_known))
    ngx.print(table.concat(lines, "\n"))
end

-- Puts what was read where no other worker puts anything meanwhile; the status, and what is wrong, if anything.
local function take(new, text, over)
    local version = dict:get("version")
    if over and over ~= at() then
        return 412, "it is at " .. at() .. ", not at " .. sub(over, 1, 80)
    elseif new.version <= version or (new.is_patch and new.version > version + 1) then
        return 409, "version " .. new.version .. " does not follow " .. version
    end
    local wrong
    if new.is_patch then
        refresh()
        wrong = misfit(new)
        if wrong then
            return 400, wrong
        end
        wrong = store_patch(new.version, text)
    else
        wrong = store(new.version, text)
    end
    if wrong then
        return 507, #text .. " bytes into a dict of " .. dict:capacity() .. ": " .. wrong
    end
    local change = new.is_patch and amend or serve
    change(new)
    return 200, "at " .. at()
end

local function push()
    local text = body()
    if not text then
        return answer(400, "no body")
    end
    local new, wrong = parse(text)
    if not new then
        return answer(400, wrong)
    end
    -- Another worker may be here with another table; nothing waits between here and the end.
    if not dict:safe_add("pushing", pid, 10) then
        return answer(409, "another push is under way")
    end
    local status, said = take(new, text, ngx.var.http_backchat_over)
    dict:delete("pushing")
    return answer(status, said)
end

-- content_by_lua of /table.
function M.admin()
    local method = ngx.req.get_method()
    if method == "GET" then
        return show()
    elseif method == "POST" then
        return push()
    end
    return answer(405, "use GET or POST")
end

-- The life of the process ------------------------------------------------------------------------------------------

-- The table in the comments of the configuration file; nil where there is none.
local function in_file(path)
    local lines = {}
    local file = io.open(path)
    for line in file and file:lines() or function() end do
        local said = match(line, "^#bc (.*)$")
        if said and (lines[1] or find(said, "^table ")) then
            lines[#lines + 1] = said
        end
    end
    if file then
        file:close()
    end
    return lines[1] and table.concat(lines, "\n") .. "\n"
end

local function random_id()
    local file = assert(io.open("/dev/urandom", "rb"))
    local bytes = file:read(8)
    file:close()
    return (bytes:gsub(".", function(byte)
        return string.format("%02x", byte:byte())
    end))
end

-- init_by_lua: once for each start and each reload. The dict outlives a reload, and loses all when it is resized.
function M.init(said)
    settings = said
    settings.services = said.services or {}
    if not dict:get("boot") then
        dict:set("boot", random_id())
        dict:set("version", 0)
    end
    local text = in_file(said.file)
    local found, wrong
    if text then
        found, wrong = parse(text)
    end
    if found and found.version > dict:get("version") then
        wrong = store(found.version, text)
    end
    if wrong then
        ngx.log(ngx.ERR, "backchat: the table in ", said.file, ": ", wrong)
    end
end

-- init_worker_by_lua: a number that another process had before must not bring its counters along.
function M.init_worker()
    pid = ngx.worker.pid()
    math.randomseed(pid + ngx.now() * 1000)
    for _, key in ipairs(flight:get_keys(0)) do
        if match(key, "^(%d+) ") == tostring(pid) then
            flight:delete(key)
        end
    end
    -- Who counts here: a worker of before a resize counts elsewhere.
    if not flight:safe_set(pid .. " ", 0) then
        flight:set("lost", true)
    end
    refresh()
end

return M
