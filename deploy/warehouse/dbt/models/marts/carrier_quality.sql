-- One row a carrier and country, over everything landed.
select
  carrier, country,
  count(*) as submitted,
  count(*) filter (where outcome = 'delivered') as delivered,
  count(*) filter (where outcome in ('failed', 'expired')) as failed,
  count(*) filter (where outcome = 'unknown') as unknown,
  count(*) filter (where outcome = 'delivered')
    / nullif(count(*) filter (where outcome in ('delivered', 'failed', 'expired')), 0)::double as delivery_rate,
  quantile_cont(delay_s, 0.5) as median_delay_s,
  quantile_cont(delay_s, 0.95) as p95_delay_s,
  count(*) filter (where clicks > 0) / nullif(count(*) filter (where outcome = 'delivered'), 0)::double as clicked_of_delivered,
  sum(cost) as cost, max(currency) as currency
from {{ ref('message_lifecycle') }}
where carrier is not null and attempt > 0
group by 1, 2
