-- One function for each step of `protocol.Store`; the arguments from ARGV[2] on are those of `store.py`.
local function pool_and_key()
  local pool = pool_of(ARGV[2])
  return pool, ARGV[3], call('HGET', pool.states, ARGV[3])
end

-- A lane from four arguments: its pool, its id, its limits and whether it is configured, its name if it is not.
local function asked_lane()
  local rpm, tpm, rpd, configured = struct.unpack('<dddB', ARGV[4])
  local lane = lane_of(pool_of(ARGV[2]), ARGV[3], {rpm = given(rpm), tpm = given(tpm), rpd = given(rpd)})
  lane.configured, lane.name = configured == 1, ARGV[5]
  return lane
end

-- The keys of a pool from their number and themselves, and where the next ones begin.
local function roster(at)
  local keys, size = {}, tonumber(ARGV[at])
  for place = 1, size do keys[place] = ARGV[at + place] end
  return keys, at + 1 + size
end

-- The configured lanes, which follow the rosters.
local function keep_all_configured(at)
  for place = at, #ARGV do
    for _, pool in ipairs(POOLS) do keep_configured(pool, ARGV[place]) end
  end
end

function operations.open()
  local same = call('GET', BASE .. ':options') == ARGV[2]
  local at = 3
  for _, pool in ipairs(POOLS) do
    local keys
    keys, at = roster(at)
    local there = call('LRANGE', pool.order, 0, -1)
    local kept = same and #there == #keys
    for place, key in ipairs(keys) do kept = kept and there[place] == key end
    if not kept then rebuild(pool, keys, true) end
  end
  call('SET', BASE .. ':options', ARGV[2])
  keep_all_configured(at)
end

function operations.replace()
  local at = 3
  for _, pool in ipairs(POOLS) do
    local keys
    keys, at = roster(at)
    rebuild(pool, keys, ARGV[2] == '1')
  end
  keep_all_configured(at)
end

function operations.take()
  local lane = asked_lane()
  local avoid, chance = ARGV[6], tonumber(ARGV[7])
  local queue = queue_of(lane, chance and 'random' or O.selection)
  keep_lane(lane, FREE)
  local key, use, packed = choose(queue, avoid, chance)
  if not key and call('EXISTS', queue.parked) == 0 and fill(queue) then
    key, use, packed = choose(queue, avoid, chance)
  end
  local lease
  if key then
    lease, use = hand_out(lane, key, use, packed)
    add(queue, key, use)
  end
  set_expiry(lane)
  return lease
end

function operations.take_any()
  local lane = asked_lane()
  local size = call('LLEN', lane.pool.order)
  for _ = 1, size do
    local key = next_key(lane.pool)
    if key ~= ARGV[6] or size == 1 then
      local packed = call('HGET', lane.pool.states, key)
      if state_of(packed)[TOKEN] == 0 then
        keep_lane(lane, FREE)
        local lease = hand_out(lane, key, use_of(lane, key), packed)
        set_expiry(lane)
        return lease
      end
    end
  end
end

function operations.next_key()
  return (next_key(pool_of(ARGV[2])))
end

function operations.give_back()
  local pool, key, packed = pool_and_key()
  if not packed then return end
  local state, token = state_of(packed), tonumber(ARGV[5])
  if state[TOKEN] ~= 0 and state[TOKEN] == token then
    state[TOKEN] = 0
    put_state(pool, key, state)
  end
  local lane = lane_of(pool, ARGV[4])
  local use = use_of(lane, key)
  if use then
    unreserve(use)
    if O.counted_on == 'acquire' and Minute.used(use[MINUTE_SPENT]) > 0 then add_use(use, -1, 0) end
    put_use(lane, key, use)
  end
  touch_everywhere(pool, key)
end

function operations.release()
  local pool, key, packed = pool_and_key()
  if not packed or packed == '' then return 0 end
  local state = state_of(packed)
  if state[TOKEN] == 0 or state[TOKEN] ~= tonumber(ARGV[4]) then return 0 end
  end_hold(pool, key, state)
  return 1
end

local function apply_to_use(lane, key, effects, state)
  local use = use_of(lane, key)
  if use then unreserve(use) end
  if state[TOKEN] ~= 0 and state[RESERVED_FOR] == lane.id then state[RESERVED_FOR] = '' end
  if effects.seen or effects.mark then use = use or new_use(lane.all) end
  if effects.seen then
    keep_lane(lane, now + AFTER_USE)
    use[LAST_USED] = now
    add_use(use, effects.requests, effects.tokens)
  end
  if effects.mark then
    mark(use, effects.retry_after)
    keep_lane(lane, use[MARKED] + AFTER_USE)
  end
  if use then put_use(lane, key, use) end
end

function operations.apply()
  local lane, key, flags = asked_lane(), ARGV[6], ARGV[7]
  local requests, tokens, retry_after, token = struct.unpack('<dddd', ARGV[8])
  local pool = lane.pool
  local packed = call('HGET', pool.states, key)
  if not packed then return 0 end
  local state = state_of(packed)
  local function has(letter) return flags:find(letter, 1, true) and true or false end
  keep_lane(lane, FREE)
  apply_to_use(lane, key, {
    seen = has('s'), mark = has('m'), requests = requests, tokens = tokens, retry_after = given(retry_after),
  }, state)
  if has('x') then strike(state) end
  if has('r') then
    state[REMOVED] = math.max(state[REMOVED], O.auth and now + O.auth or INF)
  end
  local ends = state[TOKEN] ~= 0 and O.release == 'on-report' and (not given(token) or token == state[TOKEN])
  local clears = has('c') and state[STRIKES] > 0
  if clears then state[STRIKES], state[STRUCK], state[OUTS] = 0, FREE, 0 end
  if ends then
    end_hold(pool, key, state)
  else
    if packed ~= '' or has('x') or has('r') then put_state(pool, key, state) end
    if clears then touch_everywhere(pool, key) end
  end
  touch(lane, key)
  set_expiry(lane)
  return 1
end

-- What an earlier version knew, once. In windows that slide it counts from now on: rather too long than too short.
function operations.carry()
  local lane, key = asked_lane(), ARGV[6]
  local requests, tokens, daily, mark_until, removed_until, last_used = struct.unpack('<dddddd', ARGV[7])
  local packed = call('HGET', lane.pool.states, key)
  if not packed then return 0 end
  local use = use_of(lane, key) or new_use(lane.all)
  keep_lane(lane, math.max(now, mark_until) + AFTER_USE)
  if use[CARRIED] then return 0 end
  use[CARRIED] = true
  if requests ~= 0 or tokens ~= 0 then Minute.add(use[MINUTE_SPENT], requests, tokens) end
  if daily ~= 0 then Day.add(use[DAY_SPENT], daily, 0) end
  use[MARKED], use[LAST_MARK] = math.max(use[MARKED], mark_until), math.max(use[LAST_MARK], mark_until)
  if given(last_used) then use[LAST_USED] = math.max(use[LAST_USED] or last_used, last_used) end
  put_use(lane, key, use)
  if removed_until ~= FREE then
    local state = state_of(packed)
    state[REMOVED] = math.max(state[REMOVED], removed_until)
    put_state(lane.pool, key, state)
  end
  touch_everywhere(lane.pool, key)
  set_expiry(lane)
  return 1
end

function operations.restore()
  local pool, key, packed = pool_and_key()
  if not packed then return 0 end
  restore(pool, key, packed)
  for _, lane in ipairs(lanes_of(pool)) do
    local use = use_of(lane, key)
    if use and (use[MARKED] ~= FREE or use[MARKS] ~= 0) then
      lift(use)
      put_use(lane, key, use)
    end
    touch(lane, key)
  end
  return 1
end

function operations.restore_all()
  local pool = pool_of(ARGV[2])
  local found = call('HGETALL', pool.states)
  for place = 1, #found, 2 do restore(pool, found[place], found[place + 1]) end
  for _, lane in ipairs(lanes_of(pool)) do
    each_use(lane, lift)
    touch_all(lane)
  end
end

function operations.lift_mark()
  local pool, key, packed = pool_and_key()
  if not packed then return 0 end
  local lane = lane_of(pool, ARGV[4])
  local use = use_of(lane, key)
  if use then
    lift(use)
    put_use(lane, key, use)
    touch(lane, key)
  end
  return 1
end

function operations.clear_usage()
  for _, pool in ipairs(POOLS) do
    for _, lane in ipairs(lanes_of(pool)) do
      each_use(lane, clear_use)
      touch_all(lane)
    end
  end
end

function operations.comeback()
  local lane = lane_of(pool_of(ARGV[2]), ARGV[3])
  local queue = queue_of(lane, ARGV[4] == '1' and 'random' or O.selection)
  local first = call('ZRANGE', queue.parked, 0, 0, 'WITHSCORES')[2]
  local when = first and tonumber(first) or INF
  return when < INF and exact(math.max(0, when - now)) or nil
end

-- ARGV[2] on: the lanes that are configured.
function operations.sweep()
  local configured = {}
  for place = 2, #ARGV do configured[ARGV[place]] = true end
  for _, pool in ipairs(POOLS) do
    for _, id in ipairs(call('ZRANGEBYSCORE', pool.lanes, '-inf', exact(now))) do
      if not configured[id] then drop_lane(lane_of(pool, id)) end
    end
  end
end

function operations.ping()
  keep_time()
end

-- Obey the clock that was set back. It is a step of its own, so that no other carries what it needs along.
function operations.shift()
  if set_back then shift_all(math.max(set_back, kept_at)) end
  keep_time()
end
