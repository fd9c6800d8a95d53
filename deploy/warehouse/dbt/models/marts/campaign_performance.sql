-- One row a campaign, run and variant.
with opted_out as (
  select h.tenant_id, m.campaign_id, m.run, m.variant
  from {{ ref('consent_history') }} h
  join {{ ref('message_lifecycle') }} m
    on m.tenant_id = h.tenant_id and m.contact_ref = h.contact_ref and m.purpose = 'marketing'
    and m.submitted_at <= h.held_from and m.submitted_at > h.held_from - interval 72 hour
  where h.purpose = 'marketing' and h.state = 'withdrawn'
  qualify row_number() over (partition by h.tenant_id, h.contact_ref, h.version order by m.submitted_at desc) = 1
)
select
  m.tenant_id, m.campaign_id, m.run, m.variant,
  count(*) as accepted,
  count(*) filter (where m.outcome = 'dropped') as dropped,
  count(*) filter (where m.attempt > 0) as submitted,
  count(*) filter (where m.outcome = 'delivered') as delivered,
  count(*) filter (where m.outcome in ('failed', 'expired')) as failed,
  count(*) filter (where m.outcome = 'unknown') as unknown,
  count(*) filter (where m.outcome = 'open') as open,
  count(*) filter (where m.clicks > 0) as clicked,
  coalesce(max(o.opted_out), 0) as opted_out,
  sum(m.parts) as parts, sum(m.cost) as cost, max(m.currency) as currency,
  min(m.accepted_at) as first_accepted_at, max(m.delivered_at) as last_delivered_at
from {{ ref('message_lifecycle') }} m
left join (select tenant_id, campaign_id, run, variant, count(*) as opted_out from (
  select tenant_id, campaign_id, run, variant from opted_out
) group by 1, 2, 3, 4) o
  on o.tenant_id = m.tenant_id and o.campaign_id = m.campaign_id and o.run is not distinct from m.run
  and o.variant is not distinct from m.variant
where m.campaign_id is not null
group by 1, 2, 3, 4
