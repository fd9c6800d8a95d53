{{ deduplicated('crm_consent_changed') }}
