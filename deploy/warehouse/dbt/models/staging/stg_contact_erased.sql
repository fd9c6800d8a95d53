select tenant_id, contact_ref, max(occurred_at) as erased_at from {{ source('raw', 'crm_contact_erased') }} group by 1, 2
