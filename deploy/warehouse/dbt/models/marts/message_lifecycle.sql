-- One row a message: what became of it, when, through whom and at what cost. People who asked to be forgotten are nobody.
with latest as (
  select * exclude (_row) from (
    select *, row_number() over (partition by tenant_id, message_id order by version desc) as _row
    from {{ ref('stg_message_status') }}
  ) where _row = 1
),
reached as (
  select
    s.tenant_id, s.message_id,
    json_extract_string(state.value, '$.state') as state,
    cast(json_extract_string(state.value, '$.at') as timestamp) as reached_at
  from {{ ref('stg_message_status') }} s, json_each(s.states) as state
),
times as (
  select
    tenant_id, message_id,
    min(reached_at) filter (where state = 'prepared') as prepared_at,
    min(reached_at) filter (where state = 'submitted') as submitted_at,
    min(reached_at) filter (where state = 'delivered') as delivered_at
  from reached group by 1, 2
),
clicks as (
  -- a click names 36 bits of its message's id: bits 22 to 57 of the UUID
  select tenant_id, recipient, count(*) as clicks, min(occurred_at) as first_clicked_at
  from {{ ref('stg_link_clicked') }} where human and recipient is not null group by 1, 2
)
select
  l.tenant_id, l.message_id, l.campaign_id, l.run, l.variant, l.segment, l.purpose, l.country, l.network, l.carrier,
  case when e.contact_ref is null then l.contact_ref end as contact_ref,
  case when e.contact_ref is null then l.contact_id end as contact_id,
  l.status, l.reason, l.final, l.version, l.attempt, l.parts, l.cost, l.currency,
  case
    when l.status = 'delivered' then 'delivered'
    when l.status in ('undelivered', 'rejected') then 'failed'
    when l.status in ('expired', 'dropped', 'unknown') then l.status
    else 'open'
  end as outcome,
  l.accepted_at, t.prepared_at, t.submitted_at, t.delivered_at,
  epoch_ms(t.delivered_at - t.submitted_at) / 1000.0 as delay_s,
  coalesce(c.clicks, 0) as clicks, c.first_clicked_at
from latest l
left join times t using (tenant_id, message_id)
left join {{ ref('stg_contact_erased') }} e on e.tenant_id = l.tenant_id and e.contact_ref = l.contact_ref
left join clicks c
  on c.tenant_id = l.tenant_id
  and c.recipient = greatest(
    (('0x' || right(replace(l.message_id, '-', ''), 15))::bigint >> 22) & 68719476735, 1
  )
