-- accepted = delivered + failed + expired + dropped + unknown + open, by tenant and hour of acceptance, from topics alone.
-- What was accepted is known from the stages (accepted, prepared, dropped); what became of it, from the statuses. So a
-- message that a stage took and the ledger never told of is missing on the right, and one told of that no stage took is
-- too much there: both show as a difference. Hours of which the sealed topics had already forgotten a part when they
-- were landed first are left out: nothing here could tell what was accepted then.
with first_landed as (
  select _offset as first_offset, occurred_at from {{ ref('stg_message_accepted') }}
  qualify row_number() over (partition by _topic, _partition order by _offset) = 1
  union all
  select _offset, occurred_at from {{ ref('stg_message_prepared') }}
  qualify row_number() over (partition by _topic, _partition order by _offset) = 1
),
horizon as (
  select coalesce(max(date_trunc('hour', occurred_at) + interval 1 hour) filter (where first_offset > 0), timestamp '1970-01-01') as since
  from first_landed
),
born as (
  select tenant_id, message_id, min(accepted_at) as accepted_at from (
    select tenant_id, message_id, occurred_at as accepted_at from {{ ref('stg_message_accepted') }}
    union all select tenant_id, message_id, accepted_at from {{ ref('stg_message_prepared') }}
    union all select tenant_id, message_id, accepted_at from {{ ref('stg_message_dropped') }}
  ) group by 1, 2
),
taken as (
  select tenant_id, date_trunc('hour', accepted_at) as hour, count(*) as accepted from born group by 1, 2
),
became as (
  select
    tenant_id, date_trunc('hour', accepted_at) as hour,
    count(*) filter (where outcome = 'delivered') as delivered, count(*) filter (where outcome = 'failed') as failed,
    count(*) filter (where outcome = 'expired') as expired, count(*) filter (where outcome = 'dropped') as dropped,
    count(*) filter (where outcome = 'unknown') as unknown, count(*) filter (where outcome = 'open') as open
  from {{ ref('message_lifecycle') }} group by 1, 2
)
select
  tenant_id, hour, coalesce(accepted, 0) as accepted, coalesce(delivered, 0) as delivered, coalesce(failed, 0) as failed,
  coalesce(expired, 0) as expired, coalesce(dropped, 0) as dropped, coalesce(unknown, 0) as unknown, coalesce(open, 0) as open,
  coalesce(accepted, 0) - coalesce(delivered + failed + expired + dropped + unknown + open, 0) as difference
from taken full join became using (tenant_id, hour)
where hour >= (select since from horizon)
