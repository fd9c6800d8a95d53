-- One row a change of what a person agreed to, a purpose, with the time until which it held.
with told as (
  select c.tenant_id, c.contact_ref, c.version, c.occurred_at, c.source, purpose.key as purpose,
    json_extract_string(purpose.value, '$') as state
  from {{ ref('stg_consent_changed') }} c, json_each(c.purposes) as purpose
  where not exists (
    select 1 from {{ ref('stg_contact_erased') }} e where e.tenant_id = c.tenant_id and e.contact_ref = c.contact_ref
  )
),
moved as (
  select *, lag(state) over (partition by tenant_id, contact_ref, purpose order by version) as before from told
)
select
  tenant_id, contact_ref, purpose, state, before, source, version, occurred_at as held_from,
  lead(occurred_at) over (partition by tenant_id, contact_ref, purpose order by version) as held_until
from moved where before is distinct from state
