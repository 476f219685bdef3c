-- What is looked at: numbers as text, since Redis cuts fractions off, and long integers would be rounded.
local function told_use(use)
  if not use then return {'0', '0', '0', 0, ''} end
  local requests, tokens, daily = used(use)
  local whole = '%.0f'
  return {
    whole:format(requests), whole:format(tokens), whole:format(daily),
    use[MARKED] > now and 1 or 0, use[LAST_USED] and exact(use[LAST_USED]) or '',
  }
end

local function told_state(state)
  local valid = is_valid(state)
  local strikes = valid and state[STRIKES] or math.max(state[STRIKES], O.max_failures)
  return {strikes, valid and 1 or 0}
end

function operations.row()
  local pool, key, packed = pool_and_key()
  if not packed then return nil end
  return {told_state(state_of(packed))[2], told_use(use_of(lane_of(pool, ARGV[4]), key))}
end

-- For each pool its keys, whether each is valid, and its lanes: id, names, whether it is listed, uses by key.
function operations.rows()
  local told = {}
  for _, pool in ipairs(POOLS) do
    local keys, valid, lanes = call('LRANGE', pool.order, 0, -1), {}, {}
    for place, key in ipairs(keys) do
      valid[place] = told_state(state_of(call('HGET', pool.states, key)))[2]
    end
    for _, lane in ipairs(lanes_of(pool)) do
      local found, uses, listed = call('HGETALL', lane.uses), {}, 0
      for place = 1, #found, 2 do
        local use = unpack_record(found[place + 1])
        if use[LAST_USED] or use[MARKED] ~= FREE then listed = 1 end
        uses[place], uses[place + 1] = found[place], told_use(use)
      end
      lanes[#lanes + 1] = {lane.id, call('HGET', pool.names, lane.id) or '', listed, uses}
    end
    told[#told + 1] = {keys, valid, lanes}
  end
  return told
end

function operations.standing()
  local _, _, packed = pool_and_key()
  return packed and told_state(state_of(packed))
end

-- The keys, and in one text for all of them the strikes and whether each is valid: clients read that much quicker.
function operations.standings()
  local pool, strikes, valid = pool_of(ARGV[2]), {}, {}
  local keys = call('LRANGE', pool.order, 0, -1)
  for place, key in ipairs(keys) do
    local told = told_state(state_of(call('HGET', pool.states, key)))
    strikes[place], valid[place] = told[1], told[2]
  end
  return {keys, table.concat(strikes, ' '), table.concat(valid)}
end

function operations.size()
  return call('LLEN', pool_of(ARGV[2]).order)
end
