{{ config(severity='warn') }}
-- A warning, for on a road in use some messages are on their way from a stage to their first status.
select * from {{ ref('reconciliation') }} where difference <> 0
