-- Views of a store: for people, charts and any DuckDB client. Made anew whenever this file changes.

-- One row a run and prediction, with every axis: how far the run ended from what theory says.
-- architecture_detail and init_detail are the parameters of network and initialisation (NULL: the network has none).
-- beta is where the flow ended, predicted where theory says it must (a unit direction for classification).
-- certified is false where the prediction's own optimisation did not come to a small certificate: then there is neither
-- predicted nor distance, and nothing is said of the run. NULL where a statement needs no certificate.
-- singular_value, singular_ratio, adjacent_alignment and rank are of singular_vectors, the last three of fully connected
-- networks of two layers and more; NULL elsewhere.
-- tolerance is how far a run may end from an exact prediction: 100 rtol for the integrator, and twice what the stop rule
-- left of the way ("remaining" in detail, to first order; runs of older versions lack it, and are judged where their
-- residual is below rtol only). NULL above a residual of 0.01, where first order says little, and for limits.
CREATE OR REPLACE VIEW convergence AS
SELECT
    r.run_id, r.status, r.task, r.loss, r.dataset, r.architecture, r.depth, r.width, r.filter,
    r.architecture_detail, r.init, r.init_detail, r.alpha, r.seed, r.dim, r.samples, r.parameters, r.rtol, r.stop, r.solver,
    p.prediction, p.kind, p.distance, p.certificate,
    CASE WHEN p.certificate IS NOT NULL THEN p.beta IS NOT NULL END AS certified,
    p.objective, p.detail, p.singular_value, p.singular_ratio, p.adjacent_alignment, p.rank, r.beta, p.beta AS predicted,
    CASE WHEN p.kind = 'exact' AND r.residual <= 0.01
        THEN 100 * r.rtol + 2 * coalesce((p.detail->>'$.remaining')::DOUBLE, CASE WHEN r.residual <= r.rtol THEN r.residual END)
    END AS tolerance,
    r.log_loss, r.log_time, r.residual, r.min_margin, r.invariant_drift, r.gap_drift, r.condition, r.steps, r.rejected, r.wall_seconds,
    r.device, r.created_at
FROM (
    -- below the join, else it is taken from the JSON once a prediction
    SELECT *, json_extract(spec, '$.architecture."' || architecture || '"') AS architecture_detail FROM runs
) r
JOIN predictions p USING (run_id);

-- One row a run and recorded point, with every axis: trajectories unnested. point counts from 1.
-- Places are unnested, not lists: only the lists that a query asks for are then read, and a run's lie in memory once.
CREATE OR REPLACE VIEW orbits AS
SELECT
    r.run_id, r.status, r.task, r.loss, r.dataset, r.architecture, r.depth, r.width, r.filter,
    r.init, r.init_detail, r.alpha, r.seed, r.dim, r.samples,
    point, list_extract(COLUMNS(t.* EXCLUDE (run_id, point)), point)
FROM runs r
JOIN (SELECT *, generate_subscripts(step, 1) AS point FROM trajectories) t USING (run_id);

-- One row a run, recorded point and prediction of the end that has coefficients: the distance still to go.
-- Regression: |beta - predicted| / |predicted|. Classification: between unit vectors. NULL while beta is zero.
CREATE OR REPLACE VIEW approach AS
SELECT
    o.*, p.prediction, p.kind, p.beta AS predicted,
    CASE
        WHEN list_inner_product(p.beta, p.beta) = 0 THEN NULL
        WHEN o.task = 'regression'
            THEN list_distance(o.beta, p.beta) / sqrt(list_inner_product(p.beta, p.beta))
        WHEN list_inner_product(o.beta, o.beta) = 0 THEN NULL
        ELSE list_distance(
            list_transform(o.beta, lambda b: b / sqrt(list_inner_product(o.beta, o.beta))),
            list_transform(p.beta, lambda b: b / sqrt(list_inner_product(p.beta, p.beta)))
        )
    END AS distance
FROM orbits o
JOIN predictions p USING (run_id)
WHERE p.beta IS NOT NULL AND len(p.beta) = len(o.beta) AND p.prediction NOT IN ('finite_margin', 'lasso_path');

-- One row a run, prediction of the whole path and recorded point that it is compared at, with every axis.
-- beta and predicted are in the units of the orbit (classification: of the normalised parameters). certified is false
-- where the prediction of this point was not computed to a small certificate. bound says by how much the point may exceed
-- the least objective, relative (finite_margin); where it is large, nothing is claimed.
CREATE OR REPLACE VIEW along_path AS
SELECT
    r.run_id, r.status, r.task, r.loss, r.dataset, r.architecture, r.depth, r.width, r.filter,
    r.init, r.init_detail, r.alpha, r.seed, r.dim, r.samples, r.rtol,
    q.prediction, p.kind, q.point, t.step[q.point] AS step, t.log_time[q.point] AS log_time,
    t.log_loss[q.point] AS log_loss, t.residual[q.point] AS residual, t.min_margin[q.point] AS min_margin,
    t.norm[q.point] AS norm, q.distance, q.certificate,
    CASE WHEN q.certificate IS NOT NULL THEN q.beta IS NOT NULL END AS certified,
    q.bound, q.objective, t.beta[q.point] AS beta, q.beta AS predicted
FROM path_predictions q
JOIN runs r USING (run_id)
JOIN predictions p USING (run_id, prediction)
JOIN trajectories t USING (run_id);

-- How the distance to a limit in alpha shrinks: least squares of ln(distance) on ln(alpha), one row a curve.
-- Only converged runs, near the limit (distance up to 0.1: farther out there is no power law) but clear of the
-- errors of integrator and stop rule (10 rtol and 10 residuals), and three scales or more. predicted_slope is what
-- theory says of it ("slope" in detail; the median where several seeds make one curve), NULL where it says nothing.
CREATE OR REPLACE VIEW slopes AS
WITH points AS (
    SELECT *, ln(distance) AS log_distance, ln(alpha) AS log_alpha
    FROM convergence
    WHERE status = 'converged' AND kind LIKE 'limit alpha%' AND distance > 10 * greatest(rtol, residual) AND distance <= 0.1
        AND prediction <> 'saddle_sequence'  -- it ends where weighted_l1 is
), fits AS (
    SELECT
        task, loss, dataset, dim, samples, architecture, architecture_detail, depth, width, filter, init, init_detail, rtol,
        prediction, kind,
        count(*) AS runs, count(DISTINCT alpha) AS alphas, min(alpha) AS alpha_min, max(alpha) AS alpha_max,
        regr_slope(log_distance, log_alpha) AS slope,
        regr_intercept(log_distance, log_alpha) AS intercept,
        regr_sxx(log_distance, log_alpha) AS sxx,
        median((detail->>'$.slope')::DOUBLE) AS predicted_slope,
        greatest(regr_syy(log_distance, log_alpha) - regr_sxy(log_distance, log_alpha) ** 2
            / regr_sxx(log_distance, log_alpha), 0) AS squares
    FROM points
    GROUP BY ALL
    HAVING count(DISTINCT alpha) >= 3
)
SELECT
    task, loss, dataset, dim, samples, architecture, architecture_detail, depth, width, filter, init, init_detail, rtol,
    prediction, kind, runs, alphas, alpha_min, alpha_max, slope, predicted_slope, intercept,
    sqrt(squares / (runs - 2) / sxx) AS standard_error
FROM fits;

-- One row a sweep: how many of its runs are done, and how they ended. Finished when pending is 0; runs found
-- already stored when it started count as done, so finished_at is never before created_at.
CREATE OR REPLACE VIEW progress AS
SELECT
    s.sweep_id, s.name, s.created_at, s.shard, s.tags, s.note,
    count(w.run_id) AS runs,
    count(r.run_id) AS done,
    count(*) FILTER (r.status = 'converged') AS converged,
    count(*) FILTER (r.status = 'imprecise') AS imprecise,
    count(*) FILTER (r.status = 'stopped') AS stopped,
    count(*) FILTER (r.status = 'diverged') AS diverged,
    count(*) FILTER (r.status = 'failed') AS failed,
    count(w.run_id) - count(r.run_id) AS pending,
    sum(r.wall_seconds) AS wall_seconds,
    CASE WHEN count(w.run_id) = count(r.run_id) THEN greatest(max(r.created_at), s.created_at) END AS finished_at
FROM sweeps s
LEFT JOIN sweep_runs w USING (sweep_id)
LEFT JOIN runs r ON r.run_id = w.run_id
GROUP BY s.sweep_id, s.name, s.created_at, s.shard, s.tags, s.note;
