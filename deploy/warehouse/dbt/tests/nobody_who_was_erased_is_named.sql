select m.message_id from {{ ref('message_lifecycle') }} m join {{ ref('stg_contact_erased') }} e using (tenant_id, contact_ref)
