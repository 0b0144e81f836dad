SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.account (
    id bigint NOT NULL,
    name character varying(255) NOT NULL,
    password text DEFAULT ''::text NOT NULL,
    role character varying(16) NOT NULL,
    email text DEFAULT ''::text NOT NULL,
    active boolean DEFAULT true NOT NULL,
    created double precision NOT NULL,
    last_login double precision
);
CREATE SEQUENCE public.account_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.account_id_seq OWNED BY public.account.id;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.attribution (
    group_id bigint NOT NULL,
    made double precision NOT NULL,
    crashes bigint NOT NULL,
    document bytea NOT NULL
);
CREATE TABLE public.audit (
    id bigint NOT NULL,
    at double precision NOT NULL,
    who text DEFAULT ''::text NOT NULL,
    action character varying(64) NOT NULL,
    subject text DEFAULT ''::text NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    address text DEFAULT ''::text NOT NULL
);
CREATE SEQUENCE public.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_id_seq OWNED BY public.audit.id;
CREATE TABLE public.boot (
    id bigint NOT NULL,
    host_id bigint NOT NULL,
    boot_key character varying(64) NOT NULL,
    build_id bigint,
    started double precision NOT NULL,
    last_seen double precision NOT NULL,
    ending character varying(16) DEFAULT 'running'::character varying NOT NULL
);
CREATE SEQUENCE public.boot_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.boot_id_seq OWNED BY public.boot.id;
CREATE TABLE public.build (
    id bigint NOT NULL,
    release character varying(255) NOT NULL,
    build_id character varying(64) DEFAULT ''::character varying NOT NULL,
    arch character varying(32) DEFAULT ''::character varying NOT NULL
);
CREATE SEQUENCE public.build_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.build_id_seq OWNED BY public.build.id;
CREATE TABLE public.crash (
    id bigint NOT NULL,
    event character varying(64) NOT NULL,
    host_id bigint,
    build_id bigint,
    source_id bigint,
    at double precision NOT NULL,
    at_known boolean NOT NULL,
    received double precision NOT NULL,
    origin character varying(16) NOT NULL,
    kind character varying(32) NOT NULL,
    title text DEFAULT ''::text NOT NULL,
    trigger text DEFAULT ''::text NOT NULL,
    fatal boolean NOT NULL,
    corrupted boolean NOT NULL,
    function text DEFAULT ''::text NOT NULL,
    module text DEFAULT ''::text NOT NULL,
    comm text DEFAULT ''::text NOT NULL,
    uptime double precision,
    exact character varying(64) DEFAULT ''::character varying NOT NULL,
    signature_id bigint NOT NULL,
    group_id bigint NOT NULL,
    profile_id bigint,
    exemplar boolean DEFAULT false NOT NULL,
    document bytea
);
CREATE TABLE public.crash_group (
    id bigint NOT NULL,
    title text NOT NULL,
    kind character varying(32) NOT NULL,
    state character varying(16) DEFAULT 'new'::character varying NOT NULL,
    fixed_in text DEFAULT ''::text NOT NULL,
    ignored_until double precision,
    owner text DEFAULT ''::text NOT NULL,
    regressed_at double precision,
    first_seen double precision NOT NULL,
    last_seen double precision NOT NULL,
    crashes bigint DEFAULT '0'::bigint NOT NULL,
    deaths bigint DEFAULT '0'::bigint NOT NULL,
    created double precision NOT NULL,
    merged_into bigint
);
CREATE SEQUENCE public.crash_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.crash_group_id_seq OWNED BY public.crash_group.id;
CREATE SEQUENCE public.crash_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.crash_id_seq OWNED BY public.crash.id;
CREATE TABLE public.decision (
    id bigint NOT NULL,
    kind character varying(16) NOT NULL,
    one_event character varying(64) NOT NULL,
    other_event character varying(64) NOT NULL,
    why text DEFAULT ''::text NOT NULL,
    by text DEFAULT ''::text NOT NULL,
    at double precision NOT NULL
);
CREATE SEQUENCE public.decision_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.decision_id_seq OWNED BY public.decision.id;
CREATE TABLE public.drill (
    id bigint NOT NULL,
    host_id bigint,
    nonce character varying(128) NOT NULL,
    at double precision NOT NULL,
    passed boolean NOT NULL,
    failed_stage text DEFAULT ''::text NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    document bytea NOT NULL
);
CREATE SEQUENCE public.drill_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.drill_id_seq OWNED BY public.drill.id;
CREATE TABLE public.dump (
    source_id bigint NOT NULL,
    format text DEFAULT ''::text NOT NULL,
    arch text DEFAULT ''::text NOT NULL,
    build_id text DEFAULT ''::text NOT NULL,
    release text DEFAULT ''::text NOT NULL,
    dump_level integer,
    complete boolean
);
CREATE TABLE public.finding (
    report_id bigint NOT NULL,
    number integer NOT NULL,
    kind character varying(32) NOT NULL,
    title text DEFAULT ''::text NOT NULL,
    confidence double precision NOT NULL,
    severity text DEFAULT ''::text NOT NULL,
    function text DEFAULT ''::text NOT NULL,
    module text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.frame (
    signature_id bigint NOT NULL,
    depth integer NOT NULL,
    function text DEFAULT ''::text NOT NULL,
    module text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.group_build (
    group_id bigint NOT NULL,
    build_id bigint NOT NULL,
    crashes bigint DEFAULT '0'::bigint NOT NULL,
    first_seen double precision NOT NULL,
    last_seen double precision NOT NULL
);
CREATE TABLE public.group_day (
    group_id bigint NOT NULL,
    day integer NOT NULL,
    crashes bigint DEFAULT '0'::bigint NOT NULL,
    deaths bigint DEFAULT '0'::bigint NOT NULL
);
CREATE TABLE public.group_host (
    group_id bigint NOT NULL,
    host_id bigint NOT NULL,
    crashes bigint DEFAULT '0'::bigint NOT NULL,
    first_seen double precision NOT NULL,
    last_seen double precision NOT NULL,
    profile_id bigint
);
CREATE TABLE public.group_link (
    id bigint NOT NULL,
    group_id bigint NOT NULL,
    url text NOT NULL,
    label text DEFAULT ''::text NOT NULL,
    by text DEFAULT ''::text NOT NULL,
    at double precision NOT NULL
);
CREATE SEQUENCE public.group_link_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.group_link_id_seq OWNED BY public.group_link.id;
CREATE TABLE public.host (
    id bigint NOT NULL,
    name character varying(255) NOT NULL,
    model text DEFAULT ''::text NOT NULL,
    firmware text DEFAULT ''::text NOT NULL,
    cpu text DEFAULT ''::text NOT NULL,
    first_seen double precision NOT NULL,
    last_seen double precision NOT NULL,
    profile_id bigint,
    ready boolean,
    ready_at double precision
);
CREATE SEQUENCE public.host_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.host_id_seq OWNED BY public.host.id;
CREATE TABLE public.job (
    id bigint NOT NULL,
    source_id bigint NOT NULL,
    analysis character varying(64) NOT NULL,
    state character varying(16) DEFAULT 'queued'::character varying NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    lease_owner text DEFAULT ''::text NOT NULL,
    lease_until double precision,
    outcome character varying(16),
    detail text DEFAULT ''::text NOT NULL,
    created double precision NOT NULL,
    started double precision,
    finished double precision,
    seconds double precision
);
CREATE SEQUENCE public.job_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.job_id_seq OWNED BY public.job.id;
CREATE TABLE public.likeness (
    one_id bigint NOT NULL,
    other_id bigint NOT NULL,
    score double precision NOT NULL,
    why text NOT NULL
);
CREATE TABLE public.meta (
    key character varying(64) NOT NULL,
    value text DEFAULT ''::text NOT NULL
);
CREATE TABLE public.note (
    id bigint NOT NULL,
    subject character varying(16) NOT NULL,
    subject_id bigint NOT NULL,
    text text NOT NULL,
    by text DEFAULT ''::text NOT NULL,
    at double precision NOT NULL
);
CREATE SEQUENCE public.note_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.note_id_seq OWNED BY public.note.id;
CREATE TABLE public.notice (
    id bigint NOT NULL,
    kind character varying(16) NOT NULL,
    group_id bigint NOT NULL,
    crash_id bigint,
    at double precision NOT NULL,
    sent double precision,
    attempts integer DEFAULT 0 NOT NULL,
    detail text DEFAULT ''::text NOT NULL
);
CREATE SEQUENCE public.notice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.notice_id_seq OWNED BY public.notice.id;
CREATE TABLE public.profile (
    id bigint NOT NULL,
    key character varying(64) NOT NULL,
    attributes text NOT NULL
);
CREATE SEQUENCE public.profile_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.profile_id_seq OWNED BY public.profile.id;
CREATE TABLE public.readiness (
    id bigint NOT NULL,
    host_id bigint NOT NULL,
    at double precision NOT NULL,
    reached boolean NOT NULL,
    ready boolean,
    reason text DEFAULT ''::text NOT NULL,
    document bytea
);
CREATE TABLE public.readiness_check (
    readiness_id bigint NOT NULL,
    name character varying(64) NOT NULL,
    status character varying(16) NOT NULL,
    summary text DEFAULT ''::text NOT NULL,
    fix text DEFAULT ''::text NOT NULL
);
CREATE SEQUENCE public.readiness_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.readiness_id_seq OWNED BY public.readiness.id;
CREATE TABLE public.report (
    id bigint NOT NULL,
    crash_id bigint NOT NULL,
    source_id bigint,
    analysis character varying(64) NOT NULL,
    made double precision NOT NULL,
    verdict_kind text DEFAULT ''::text NOT NULL,
    verdict_title text DEFAULT ''::text NOT NULL,
    verdict_key text DEFAULT ''::text NOT NULL,
    confidence double precision,
    symbols text DEFAULT ''::text NOT NULL,
    document bytea NOT NULL
);
CREATE SEQUENCE public.report_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.report_id_seq OWNED BY public.report.id;
CREATE TABLE public.session (
    id character varying(64) NOT NULL,
    account_id bigint NOT NULL,
    csrf character varying(64) NOT NULL,
    address text DEFAULT ''::text NOT NULL,
    created double precision NOT NULL,
    expires double precision NOT NULL
);
CREATE TABLE public.signature (
    id bigint NOT NULL,
    scheme character varying(16) NOT NULL,
    version integer NOT NULL,
    key character varying(255) NOT NULL,
    group_id bigint NOT NULL,
    why text DEFAULT ''::text NOT NULL,
    by text DEFAULT ''::text NOT NULL,
    title text DEFAULT ''::text NOT NULL,
    crashes bigint DEFAULT '0'::bigint NOT NULL,
    first_seen double precision NOT NULL,
    features bytea
);
CREATE SEQUENCE public.signature_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.signature_id_seq OWNED BY public.signature.id;
CREATE TABLE public.source (
    id bigint NOT NULL,
    content character varying(64) NOT NULL,
    kind character varying(16) NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    path text DEFAULT ''::text NOT NULL,
    host_name character varying(255) DEFAULT ''::character varying NOT NULL,
    size bigint DEFAULT '0'::bigint NOT NULL,
    received double precision NOT NULL,
    sent_by text DEFAULT ''::text NOT NULL,
    state character varying(16) DEFAULT 'pending'::character varying NOT NULL,
    detail text DEFAULT ''::text NOT NULL
);
CREATE SEQUENCE public.source_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.source_id_seq OWNED BY public.source.id;
CREATE TABLE public.token (
    id bigint NOT NULL,
    hash character varying(64) NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    role character varying(16) NOT NULL,
    host_name character varying(255) DEFAULT ''::character varying NOT NULL,
    created_by text DEFAULT ''::text NOT NULL,
    created double precision NOT NULL,
    expires double precision,
    revoked double precision,
    last_used double precision
);
CREATE SEQUENCE public.token_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.token_id_seq OWNED BY public.token.id;
CREATE TABLE public.upload (
    id character varying(64) NOT NULL,
    host_name character varying(255) NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    size bigint DEFAULT '0'::bigint NOT NULL,
    sha256 character varying(64) DEFAULT ''::character varying NOT NULL,
    sent_by text DEFAULT ''::text NOT NULL,
    state character varying(16) NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    source_id bigint,
    created double precision NOT NULL,
    updated double precision NOT NULL
);
ALTER TABLE ONLY public.account ALTER COLUMN id SET DEFAULT nextval('public.account_id_seq'::regclass);
ALTER TABLE ONLY public.audit ALTER COLUMN id SET DEFAULT nextval('public.audit_id_seq'::regclass);
ALTER TABLE ONLY public.boot ALTER COLUMN id SET DEFAULT nextval('public.boot_id_seq'::regclass);
ALTER TABLE ONLY public.build ALTER COLUMN id SET DEFAULT nextval('public.build_id_seq'::regclass);
ALTER TABLE ONLY public.crash ALTER COLUMN id SET DEFAULT nextval('public.crash_id_seq'::regclass);
ALTER TABLE ONLY public.crash_group ALTER COLUMN id SET DEFAULT nextval('public.crash_group_id_seq'::regclass);
ALTER TABLE ONLY public.decision ALTER COLUMN id SET DEFAULT nextval('public.decision_id_seq'::regclass);
ALTER TABLE ONLY public.drill ALTER COLUMN id SET DEFAULT nextval('public.drill_id_seq'::regclass);
ALTER TABLE ONLY public.group_link ALTER COLUMN id SET DEFAULT nextval('public.group_link_id_seq'::regclass);
ALTER TABLE ONLY public.host ALTER COLUMN id SET DEFAULT nextval('public.host_id_seq'::regclass);
ALTER TABLE ONLY public.job ALTER COLUMN id SET DEFAULT nextval('public.job_id_seq'::regclass);
ALTER TABLE ONLY public.note ALTER COLUMN id SET DEFAULT nextval('public.note_id_seq'::regclass);
ALTER TABLE ONLY public.notice ALTER COLUMN id SET DEFAULT nextval('public.notice_id_seq'::regclass);
ALTER TABLE ONLY public.profile ALTER COLUMN id SET DEFAULT nextval('public.profile_id_seq'::regclass);
ALTER TABLE ONLY public.readiness ALTER COLUMN id SET DEFAULT nextval('public.readiness_id_seq'::regclass);
ALTER TABLE ONLY public.report ALTER COLUMN id SET DEFAULT nextval('public.report_id_seq'::regclass);
ALTER TABLE ONLY public.signature ALTER COLUMN id SET DEFAULT nextval('public.signature_id_seq'::regclass);
ALTER TABLE ONLY public.source ALTER COLUMN id SET DEFAULT nextval('public.source_id_seq'::regclass);
ALTER TABLE ONLY public.token ALTER COLUMN id SET DEFAULT nextval('public.token_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0001');
INSERT INTO public.audit VALUES (1, 1795692490.8108938, 'anna', 'note', 'group 1', '', '');
INSERT INTO public.build VALUES (1, '6.1.0-50-amd64', '', '');
INSERT INTO public.crash VALUES (1, '49e499b60736b4687ff6fb5772695f9ab2d830fa', 1, 1, NULL, 1790000000, true, 1790100000, 'log', 'null-dereference', 'BUG: unable to handle kernel NULL pointer dereference in frob_start', 'oops', true, false, 'frob_start', 'frob', 'kworker/15:1H', 1209364.760587, '1d810ca45937805cd2bbfe2c', 1, 1, 1, true, '\x7801cd96c98edb3810865f85e0d9ed16696dd631b306935990419043302028aa6413a6483545c5dd63f4bba768598682248700d3c61c04515c4a5ffd6455f1440fda36b4a27634e6ae010f2d3e56015dd1a083011c7af5ee978a8c56d6064870642f6d83ad03780b86fcf1eecd1bd23b6d0378b2584fb425ad77b51882f461b636d0eac364effb96ff83345eef76e091c7b97e4083ca793ff60190be956680458ff02007676915bdc2fe7ea4558926e470a0d589f61ad7b0a448d8a688abba0ead1e8ece23d43dcb2af62b7d5e516d87e04715743474a2ed682f6dfa995fae6d0708b4e23c5fd141ff8b8af1127fd6b9663ccb176723ae6c1a0f030a3031b53a0e4e6da3edb5adedf47571c983d151785a210b2055eb650751c6ff0bd15738c6bad371cb67698a745686a5d87c1965bee478186104e11f1624bcbca2143cb9094a6d0ea27b108d1e7a19d41e7984d1c3521e5e6e677d78c2f014cd024da7e3bf39389fc923c4856a507b68166c809a0d2146d7bc772cbf2ab6d9dc82ed42e6472b62448ad62e69120cd829c8185f04d98b29d57ba7306a85b370c659b0a45936b394db5b2833252811f698dd9a054871d5e4361c872f0838c3bdb8e4beec1652780802f36a275a3c220b2936d7c39abecce9c042e46187f10b1e93f089faa1c75252a6699e67985138cf78ce92b2c4dc02ad913b9c94e72ccae3e523adb0dbd7f89e566c3609e3db6d5e6cf334c6bd57710a26f92901c42c7fae35e8a0fdd8c5920c8f21c5d7631b43b476b6d1764791695a202e7f3ca189206349c63af7e18c6cb0206211a1f99aad93bb2cb9935d9347537be99ba3f471ec473086bcb66a4dfe7247f03f353b206f8b2cb94fdefffefe87b72bf2eaf59f7f13b6ced62949d2fb84dda3c3d14640ac7389d47e0898dd6235632b6ae4f58ba78884c55a77200650088ece319e6c3779ba2ef2242bf10c1fa531224e99eba272cdb55d8fda342216ee29d6a7fb8398d3d4d4d93a63dc518c783f40e97e9b6e28bdb45a913b625d20c393552859457e96411a028f0a100a0b3c8ad4e200f8dea36ed1998fb8c3e7d2cfa3ec526127654dc91225d36cbb29ca24530dafeb16b8420d0ef0843f3d51855e638376d039ff8403dfba37e0bd48e16de4db369f9f9f3f017d0a3494');
INSERT INTO public.crash VALUES (2, '315a8d23ea130a7a430a05802b39858484058698', 1, 1, NULL, 1790000900, true, 1790100000, 'log', 'null-dereference', 'BUG: unable to handle kernel NULL pointer dereference in frob_start', 'oops', true, false, 'frob_start', 'frob', 'kworker/10:1H', 8604312.843576, '1d810ca45937805cd2bbfe2c', 1, 1, 1, true, '\x7801cd964b8fdb3610c7bf0ac1b3d7abb7641d93e685246db041904350101435b20953a496a4626f8cfdee195ab6ab20c9a140d7e84110c5c7e8377f726678a05ba95b5a533d2a75d382850e1f2d802ea8975e010e3dfbf4aa26a3e68d02e20dd970dd626b0b5683227f7e7af78e0c466a0f96ccd613a949674dc39ce7d69fad395a7f99ecfdbbe57f238d95eb3558e43166706850186bc7c103d2775c3998f5300bdc194debe015f60f23ad4b34c1dd96d6073a485c93565996666151dfa3d1edce5864ba8da33a7e4d1f17546ae7ed28bc0c760eb41bf5a94d7f70cb749d034feb24cb17d4c96f285852550bda9b763caa1766232d6f5b0b0efd9f903a1906a7b692fad2967afa3a796441c9a03bad910590aab3bc87a0e2ff85e8171c63d3cbb0e367694a54795226ceb0f934cafccc713fc208ccdecf4892ea825226d155501ab565fd3d6ba51bb8171be4614abab93c49b53aeb934471f10fd5743afe9b83f3833c8c9da89cd8403b6303d4ccf9105ce7bd8b8b8b62697a0db613991d350b11c93a3da789308a4f47299905d99329355823306a99d170c499b164f925e0abd53594991214f31b4c6eed0ca4bc68721d8eed4f04498c7b71ca7df935a4b0e019e6d59e7578446652847c3e71644f733ab00e595863fc82c5247ca0d60db48eb19214455eaca2a2ccd3385aa571b2a0d029bec649451107792cdfd31a538e6df03dad4893322eb35599acb22af05a11a660929f3264c8f2c75a830eeaaf7da8c8b0f719bef65d08d1c6e856ea3545a669013bfdf180263c0f1519cbdc9723b2c27a88458416cb7819dde4d10defdb2298da70dbeeb80d637f8052e48d164bf2c1ecc0be68d740eeca3cba8d3ebffffcfc6e419ebdf9eb238997f9322351761bc5b74994041b1eb18e25525ae731bb856a162fa8e297af244324acd5b207e64020383a571551864a2dab2ccd4b3c353bae140b53ce755198f6d26e46a95a16eaf614ebd3f5819dd3d4d4d919a5cc8e8d783d40e9de4e1794816b29c80dd1c613f7a0054a569397dc7345602f00a1b0c0a3481d0e801d2cea169cf98a3b7c2cfd612bf75c60278ddb2a8e04cff2555a56512edaa4693a48046ab08507fce9810af41a1bb487ded8071cf8ddbd01af45022f23bfb7f9f8f8f81dc7443478');
INSERT INTO public.crash VALUES (3, '2f9946ada378c29115ca989f370a8f9773b7d62c', 2, 1, NULL, 1790090000, true, 1790100000, 'log', 'null-dereference', 'BUG: unable to handle kernel NULL pointer dereference in frob_start', 'oops', true, false, 'frob_start', 'frob', 'kworker/60:1H', 2141757.847364, '1d810ca45937805cd2bbfe2c', 1, 1, 1, true, '\x7801cd96c98edb3810865f85e0d9eda6686dad63660d26b3208320876040d054c9264c916a928add63f4bba768d98682248700d3c61c04515c4a5ffd6455f14877dab6b4a17634e6ae050f1d3e56015dd0a8a3011c7af5ee97868c56ae0d90e8c856da165b3bf0160cf9e3dd9b376470da46f064b69e684b3aefd62244e9e3c55aa0cd87c9def72dff0769bcde6cc0238f73434083ca793f0e1190be9326c0ac477890c159da24afb07f186993956843861d6d8e74d0b8282b0ace589e96f53d9added9d47aafb9235d9aff47941b50dd18f2aea64e948bbd19edbf433c75cd7058868afae1634e87f51325ed70bdabb763ce9976623af6c5b0f011598a03a9d06a7b6d1f6dad676fa3afbe4c1e8a43c6d900590aaf3b287a4e3ff85e82b1ce3bad769cf2fd254a8f2a44c9663f36594f992e3718411847f9c91f0fa8a5271761394b5d989fe51b43a0c32aa2df208a3c35c1e5e3f5cf4e12c9dd38b40d3e9f86f0ece67f20871a60a6a0bed8c0d50b31053785df62e2baf8aad56b7603b93f9d18a1491a2b3731a760db28ccf82ecc5941abc5318b5c25938e1cc58f2a2b86c5bfd700b65a60425e216d35b3b03a9ae9adc8663f70501cf702fceb9afb885141ea2c0bcda8b0e8fc84c8ad5f5b0e62f733ab01279d860fc82c7247ca43e0c29f5e7795916252fcabaaa6bceca8a2f2874466e70525966491e2f0fb4c194e3d7f89e56acd2cc92af182b394b53549a82497e4a0029cb9f6a0d3a683ff6a926c321e6f83a742944d7ceb6da6e28324d0bc4f98f47341165aac958e73e9c900d56442c22b45c664b7657b03bd9b76532b595bedd4b9fc67e0463c86bab96e42fb707ff53bb01f2b62ad83d7bfffbfb1fde2ec8abd77ffe4db265b1cc09cbef5976cf194f3622629d4aa4f62162764bd52c5b5023af5f3c4724acd6ba07114021383ac7b33cab8a6a59e7d52a6599bd3446a42997baa85c7b6daf476d5a910af714ebd305425cd2d4d4d93963dc5e8c784140e97e9bae2883b45a913b625d24e1c92a94ac213fcb280d81830284c2028f227538007ef0a85b72e623eef0a9f4a7ad3c48859d346beb8c2999170fabaa66856af97add0157a8c10e9ef0a747aad06b6cd01e7ae79f70e05bf706bc1829bc8d7cdbe6f3f3f327c45f34d1');
INSERT INTO public.crash_group VALUES (1, 'BUG: unable to handle kernel NULL pointer dereference in frob_start', 'null-dereference', 'new', '', NULL, '', NULL, 1790000000, 1790090000, 3, 3, 1790100000, NULL);
INSERT INTO public.frame VALUES (1, 0, 'frob_start', 'frob');
INSERT INTO public.frame VALUES (1, 1, 'frob_submit', 'frob');
INSERT INTO public.frame VALUES (1, 2, 'frob_queue_rq', 'frob');
INSERT INTO public.frame VALUES (1, 3, 'blk_mq_dispatch_rq_list', '');
INSERT INTO public.frame VALUES (1, 4, '__blk_mq_sched_dispatch_requests', '');
INSERT INTO public.frame VALUES (1, 5, 'blk_mq_run_work_fn', '');
INSERT INTO public.group_build VALUES (1, 1, 3, 1790000000, 1790090000);
INSERT INTO public.group_day VALUES (1, 20717, 2, 2);
INSERT INTO public.group_day VALUES (1, 20718, 1, 1);
INSERT INTO public.group_host VALUES (1, 1, 2, 1790000000, 1790000900, 1);
INSERT INTO public.group_host VALUES (1, 2, 1, 1790090000, 1790090000, 1);
INSERT INTO public.host VALUES (1, 'web01', 'Dell Inc. PowerEdge R750', '1.5.4 04/01/2024', '', 1790000000, 1790000900, 1, NULL, NULL);
INSERT INTO public.host VALUES (2, 'web02', 'Dell Inc. PowerEdge R750', '1.5.4 04/01/2024', '', 1790090000, 1790090000, 1, NULL, NULL);
INSERT INTO public.note VALUES (1, 'group', 1, 'seen since Monday', 'anna', 1795692490.7813475);
INSERT INTO public.notice VALUES (1, 'new-group', 1, NULL, 1790100000, NULL, 0, '');
INSERT INTO public.profile VALUES (1, '6298f108e27cb08803e0131c25b0730f5a4986daa542e46382cfd981153e021e', '[["firmware", "1.5.4 04/01/2024"], ["kernel", "6.1.0-50-amd64"], ["model", "Dell Inc. PowerEdge R750"], ["module", "bonding"], ["module", "ext4"], ["module", "frob"], ["module", "nvme"], ["module", "xfs"]]');
INSERT INTO public.signature VALUES (1, 'exact', 2, '1d810ca45937805cd2bbfe2c', 1, 'the first crash with this fingerprint', 'kautopsy', 'BUG: unable to handle kernel NULL pointer dereference in frob_start', 3, 1790000000, '\x81a57465726d7387a66672616d65738aaa66726f625f7374617274cb3ff0000000000000ab66726f625f7375626d6974cb3fe9fdf8bcce533ead66726f625f71756575655f7271cb3fe703e0260b76c5b7626c6b5f6d715f64697370617463685f72715f6c697374cb3fe51cb453b9536cd9205f5f626c6b5f6d715f73636865645f64697370617463685f7265717565737473cb3fe3bebdcc9d061ab2626c6b5f6d715f72756e5f776f726b5f666ecb3fe2b1b0a7ba0ff7b070726f636573735f6f6e655f776f726bcb3fc56b4c0ea868cfad776f726b65725f746872656164cb3fc493fb1dc607aba76b746872656164cb3fc3dd166b6ba206ad7265745f66726f6d5f666f726bcb3fc33edef8a3e92fa563616c6c7389b866726f625f7374617274203c2066726f625f7375626d6974cb3fe9fdf8bcce533ebb66726f625f7375626d6974203c2066726f625f71756575655f7271cb3fe703e0260b76c5d92766726f625f71756575655f7271203c20626c6b5f6d715f64697370617463685f72715f6c697374cb3fe51cb453b9536cd93a626c6b5f6d715f64697370617463685f72715f6c697374203c205f5f626c6b5f6d715f73636865645f64697370617463685f7265717565737473cb3fe3bebdcc9d061ad9355f5f626c6b5f6d715f73636865645f64697370617463685f7265717565737473203c20626c6b5f6d715f72756e5f776f726b5f666ecb3fe2b1b0a7ba0ff7d925626c6b5f6d715f72756e5f776f726b5f666e203c2070726f636573735f6f6e655f776f726bcb3fc56b4c0ea868cfd92070726f636573735f6f6e655f776f726b203c20776f726b65725f746872656164cb3fc493fb1dc607abb7776f726b65725f746872656164203c206b746872656164cb3fc3dd166b6ba206b76b746872656164203c207265745f66726f6d5f666f726bcb3fc33edef8a3e92fa566696c657380a966756e6374696f6e7380a57469746c6588a342554701a6756e61626c6501a668616e646c6501a66b65726e656c01a44e554c4c01a7706f696e74657201ab64657265666572656e636501aa66726f625f737461727401a5776f72647380a772656c6561736583a3362e3101a5362e312e3001b46275696c6420362e312e302d35302d616d64363401');
SELECT pg_catalog.setval('public.account_id_seq', 1, false);
SELECT pg_catalog.setval('public.audit_id_seq', 1, true);
SELECT pg_catalog.setval('public.boot_id_seq', 1, false);
SELECT pg_catalog.setval('public.build_id_seq', 1, true);
SELECT pg_catalog.setval('public.crash_group_id_seq', 1, true);
SELECT pg_catalog.setval('public.crash_id_seq', 3, true);
SELECT pg_catalog.setval('public.decision_id_seq', 1, false);
SELECT pg_catalog.setval('public.drill_id_seq', 1, false);
SELECT pg_catalog.setval('public.group_link_id_seq', 1, false);
SELECT pg_catalog.setval('public.host_id_seq', 2, true);
SELECT pg_catalog.setval('public.job_id_seq', 1, false);
SELECT pg_catalog.setval('public.note_id_seq', 1, true);
SELECT pg_catalog.setval('public.notice_id_seq', 1, true);
SELECT pg_catalog.setval('public.profile_id_seq', 1, true);
SELECT pg_catalog.setval('public.readiness_id_seq', 1, false);
SELECT pg_catalog.setval('public.report_id_seq', 1, false);
SELECT pg_catalog.setval('public.signature_id_seq', 1, true);
SELECT pg_catalog.setval('public.source_id_seq', 1, false);
SELECT pg_catalog.setval('public.token_id_seq', 1, false);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.account
    ADD CONSTRAINT pk_account PRIMARY KEY (id);
ALTER TABLE ONLY public.attribution
    ADD CONSTRAINT pk_attribution PRIMARY KEY (group_id);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT pk_audit PRIMARY KEY (id);
ALTER TABLE ONLY public.boot
    ADD CONSTRAINT pk_boot PRIMARY KEY (id);
ALTER TABLE ONLY public.build
    ADD CONSTRAINT pk_build PRIMARY KEY (id);
ALTER TABLE ONLY public.crash
    ADD CONSTRAINT pk_crash PRIMARY KEY (id);
ALTER TABLE ONLY public.crash_group
    ADD CONSTRAINT pk_crash_group PRIMARY KEY (id);
ALTER TABLE ONLY public.decision
    ADD CONSTRAINT pk_decision PRIMARY KEY (id);
ALTER TABLE ONLY public.drill
    ADD CONSTRAINT pk_drill PRIMARY KEY (id);
ALTER TABLE ONLY public.dump
    ADD CONSTRAINT pk_dump PRIMARY KEY (source_id);
ALTER TABLE ONLY public.finding
    ADD CONSTRAINT pk_finding PRIMARY KEY (report_id, number);
ALTER TABLE ONLY public.frame
    ADD CONSTRAINT pk_frame PRIMARY KEY (signature_id, depth);
ALTER TABLE ONLY public.group_build
    ADD CONSTRAINT pk_group_build PRIMARY KEY (group_id, build_id);
ALTER TABLE ONLY public.group_day
    ADD CONSTRAINT pk_group_day PRIMARY KEY (group_id, day);
ALTER TABLE ONLY public.group_host
    ADD CONSTRAINT pk_group_host PRIMARY KEY (group_id, host_id);
ALTER TABLE ONLY public.group_link
    ADD CONSTRAINT pk_group_link PRIMARY KEY (id);
ALTER TABLE ONLY public.host
    ADD CONSTRAINT pk_host PRIMARY KEY (id);
ALTER TABLE ONLY public.job
    ADD CONSTRAINT pk_job PRIMARY KEY (id);
ALTER TABLE ONLY public.likeness
    ADD CONSTRAINT pk_likeness PRIMARY KEY (one_id, other_id);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT pk_meta PRIMARY KEY (key);
ALTER TABLE ONLY public.note
    ADD CONSTRAINT pk_note PRIMARY KEY (id);
ALTER TABLE ONLY public.notice
    ADD CONSTRAINT pk_notice PRIMARY KEY (id);
ALTER TABLE ONLY public.profile
    ADD CONSTRAINT pk_profile PRIMARY KEY (id);
ALTER TABLE ONLY public.readiness
    ADD CONSTRAINT pk_readiness PRIMARY KEY (id);
ALTER TABLE ONLY public.readiness_check
    ADD CONSTRAINT pk_readiness_check PRIMARY KEY (readiness_id, name);
ALTER TABLE ONLY public.report
    ADD CONSTRAINT pk_report PRIMARY KEY (id);
ALTER TABLE ONLY public.session
    ADD CONSTRAINT pk_session PRIMARY KEY (id);
ALTER TABLE ONLY public.signature
    ADD CONSTRAINT pk_signature PRIMARY KEY (id);
ALTER TABLE ONLY public.source
    ADD CONSTRAINT pk_source PRIMARY KEY (id);
ALTER TABLE ONLY public.token
    ADD CONSTRAINT pk_token PRIMARY KEY (id);
ALTER TABLE ONLY public.upload
    ADD CONSTRAINT pk_upload PRIMARY KEY (id);
ALTER TABLE ONLY public.account
    ADD CONSTRAINT uq_account_name UNIQUE (name);
ALTER TABLE ONLY public.boot
    ADD CONSTRAINT uq_boot_host_id_boot_key UNIQUE (host_id, boot_key);
ALTER TABLE ONLY public.build
    ADD CONSTRAINT uq_build_release_build_id_arch UNIQUE (release, build_id, arch);
ALTER TABLE ONLY public.crash
    ADD CONSTRAINT uq_crash_event UNIQUE (event);
ALTER TABLE ONLY public.drill
    ADD CONSTRAINT uq_drill_nonce UNIQUE (nonce);
ALTER TABLE ONLY public.host
    ADD CONSTRAINT uq_host_name UNIQUE (name);
ALTER TABLE ONLY public.job
    ADD CONSTRAINT uq_job_source_id_analysis UNIQUE (source_id, analysis);
ALTER TABLE ONLY public.profile
    ADD CONSTRAINT uq_profile_key UNIQUE (key);
ALTER TABLE ONLY public.report
    ADD CONSTRAINT uq_report_source_id_analysis UNIQUE (source_id, analysis);
ALTER TABLE ONLY public.signature
    ADD CONSTRAINT uq_signature_scheme_version_key UNIQUE (scheme, version, key);
ALTER TABLE ONLY public.source
    ADD CONSTRAINT uq_source_content_host_name UNIQUE (content, host_name);
ALTER TABLE ONLY public.token
    ADD CONSTRAINT uq_token_hash UNIQUE (hash);
CREATE INDEX ix_audit_action ON public.audit USING btree (action);
CREATE INDEX ix_audit_at ON public.audit USING btree (at);
CREATE INDEX ix_boot_started ON public.boot USING btree (started);
CREATE INDEX ix_crash_group_id_at ON public.crash USING btree (group_id, at);
CREATE INDEX ix_crash_group_kind ON public.crash_group USING btree (kind);
CREATE INDEX ix_crash_group_last_seen ON public.crash_group USING btree (last_seen);
CREATE INDEX ix_crash_group_merged_into ON public.crash_group USING btree (merged_into);
CREATE INDEX ix_crash_group_state ON public.crash_group USING btree (state);
CREATE INDEX ix_crash_host_id_at ON public.crash USING btree (host_id, at);
CREATE INDEX ix_crash_signature_id ON public.crash USING btree (signature_id);
CREATE INDEX ix_crash_source_id ON public.crash USING btree (source_id);
CREATE INDEX ix_drill_at ON public.drill USING btree (at);
CREATE INDEX ix_drill_host_id ON public.drill USING btree (host_id);
CREATE INDEX ix_finding_function ON public.finding USING btree (function);
CREATE INDEX ix_finding_kind ON public.finding USING btree (kind);
CREATE INDEX ix_frame_function ON public.frame USING btree (function);
CREATE INDEX ix_frame_module ON public.frame USING btree (module);
CREATE INDEX ix_group_build_build_id ON public.group_build USING btree (build_id);
CREATE INDEX ix_group_day_day ON public.group_day USING btree (day);
CREATE INDEX ix_group_host_host_id ON public.group_host USING btree (host_id);
CREATE INDEX ix_group_link_group_id ON public.group_link USING btree (group_id);
CREATE INDEX ix_host_last_seen ON public.host USING btree (last_seen);
CREATE INDEX ix_host_model ON public.host USING btree (model);
CREATE INDEX ix_job_outcome ON public.job USING btree (outcome);
CREATE INDEX ix_job_state_lease_until ON public.job USING btree (state, lease_until);
CREATE INDEX ix_likeness_other_id ON public.likeness USING btree (other_id);
CREATE INDEX ix_note_subject_subject_id ON public.note USING btree (subject, subject_id);
CREATE INDEX ix_notice_sent ON public.notice USING btree (sent);
CREATE INDEX ix_readiness_check_name_status ON public.readiness_check USING btree (name, status);
CREATE INDEX ix_readiness_host_id ON public.readiness USING btree (host_id);
CREATE INDEX ix_report_crash_id ON public.report USING btree (crash_id);
CREATE INDEX ix_session_account_id ON public.session USING btree (account_id);
CREATE INDEX ix_session_expires ON public.session USING btree (expires);
CREATE INDEX ix_signature_group_id ON public.signature USING btree (group_id);
CREATE INDEX ix_source_received ON public.source USING btree (received);
CREATE INDEX ix_source_state ON public.source USING btree (state);
CREATE INDEX ix_upload_state ON public.upload USING btree (state);
CREATE INDEX ix_upload_updated ON public.upload USING btree (updated);
ALTER TABLE ONLY public.attribution
    ADD CONSTRAINT fk_attribution_group_id_crash_group FOREIGN KEY (group_id) REFERENCES public.crash_group(id);
ALTER TABLE ONLY public.boot
    ADD CONSTRAINT fk_boot_build_id_build FOREIGN KEY (build_id) REFERENCES public.build(id);
ALTER TABLE ONLY public.boot
    ADD CONSTRAINT fk_boot_host_id_host FOREIGN KEY (host_id) REFERENCES public.host(id);
ALTER TABLE ONLY public.crash
    ADD CONSTRAINT fk_crash_build_id_build FOREIGN KEY (build_id) REFERENCES public.build(id);
ALTER TABLE ONLY public.crash
    ADD CONSTRAINT fk_crash_group_id_crash_group FOREIGN KEY (group_id) REFERENCES public.crash_group(id);
ALTER TABLE ONLY public.crash_group
    ADD CONSTRAINT fk_crash_group_merged_into_crash_group FOREIGN KEY (merged_into) REFERENCES public.crash_group(id);
ALTER TABLE ONLY public.crash
    ADD CONSTRAINT fk_crash_host_id_host FOREIGN KEY (host_id) REFERENCES public.host(id);
ALTER TABLE ONLY public.crash
    ADD CONSTRAINT fk_crash_profile_id_profile FOREIGN KEY (profile_id) REFERENCES public.profile(id);
ALTER TABLE ONLY public.crash
    ADD CONSTRAINT fk_crash_signature_id_signature FOREIGN KEY (signature_id) REFERENCES public.signature(id);
ALTER TABLE ONLY public.crash
    ADD CONSTRAINT fk_crash_source_id_source FOREIGN KEY (source_id) REFERENCES public.source(id);
ALTER TABLE ONLY public.drill
    ADD CONSTRAINT fk_drill_host_id_host FOREIGN KEY (host_id) REFERENCES public.host(id);
ALTER TABLE ONLY public.dump
    ADD CONSTRAINT fk_dump_source_id_source FOREIGN KEY (source_id) REFERENCES public.source(id);
ALTER TABLE ONLY public.finding
    ADD CONSTRAINT fk_finding_report_id_report FOREIGN KEY (report_id) REFERENCES public.report(id);
ALTER TABLE ONLY public.frame
    ADD CONSTRAINT fk_frame_signature_id_signature FOREIGN KEY (signature_id) REFERENCES public.signature(id);
ALTER TABLE ONLY public.group_build
    ADD CONSTRAINT fk_group_build_build_id_build FOREIGN KEY (build_id) REFERENCES public.build(id);
ALTER TABLE ONLY public.group_build
    ADD CONSTRAINT fk_group_build_group_id_crash_group FOREIGN KEY (group_id) REFERENCES public.crash_group(id);
ALTER TABLE ONLY public.group_day
    ADD CONSTRAINT fk_group_day_group_id_crash_group FOREIGN KEY (group_id) REFERENCES public.crash_group(id);
ALTER TABLE ONLY public.group_host
    ADD CONSTRAINT fk_group_host_group_id_crash_group FOREIGN KEY (group_id) REFERENCES public.crash_group(id);
ALTER TABLE ONLY public.group_host
    ADD CONSTRAINT fk_group_host_host_id_host FOREIGN KEY (host_id) REFERENCES public.host(id);
ALTER TABLE ONLY public.group_host
    ADD CONSTRAINT fk_group_host_profile_id_profile FOREIGN KEY (profile_id) REFERENCES public.profile(id);
ALTER TABLE ONLY public.group_link
    ADD CONSTRAINT fk_group_link_group_id_crash_group FOREIGN KEY (group_id) REFERENCES public.crash_group(id);
ALTER TABLE ONLY public.host
    ADD CONSTRAINT fk_host_profile_id_profile FOREIGN KEY (profile_id) REFERENCES public.profile(id);
ALTER TABLE ONLY public.job
    ADD CONSTRAINT fk_job_source_id_source FOREIGN KEY (source_id) REFERENCES public.source(id);
ALTER TABLE ONLY public.likeness
    ADD CONSTRAINT fk_likeness_one_id_crash_group FOREIGN KEY (one_id) REFERENCES public.crash_group(id);
ALTER TABLE ONLY public.likeness
    ADD CONSTRAINT fk_likeness_other_id_crash_group FOREIGN KEY (other_id) REFERENCES public.crash_group(id);
ALTER TABLE ONLY public.notice
    ADD CONSTRAINT fk_notice_crash_id_crash FOREIGN KEY (crash_id) REFERENCES public.crash(id);
ALTER TABLE ONLY public.notice
    ADD CONSTRAINT fk_notice_group_id_crash_group FOREIGN KEY (group_id) REFERENCES public.crash_group(id);
ALTER TABLE ONLY public.readiness_check
    ADD CONSTRAINT fk_readiness_check_readiness_id_readiness FOREIGN KEY (readiness_id) REFERENCES public.readiness(id);
ALTER TABLE ONLY public.readiness
    ADD CONSTRAINT fk_readiness_host_id_host FOREIGN KEY (host_id) REFERENCES public.host(id);
ALTER TABLE ONLY public.report
    ADD CONSTRAINT fk_report_crash_id_crash FOREIGN KEY (crash_id) REFERENCES public.crash(id);
ALTER TABLE ONLY public.report
    ADD CONSTRAINT fk_report_source_id_source FOREIGN KEY (source_id) REFERENCES public.source(id);
ALTER TABLE ONLY public.session
    ADD CONSTRAINT fk_session_account_id_account FOREIGN KEY (account_id) REFERENCES public.account(id);
ALTER TABLE ONLY public.signature
    ADD CONSTRAINT fk_signature_group_id_crash_group FOREIGN KEY (group_id) REFERENCES public.crash_group(id);
ALTER TABLE ONLY public.upload
    ADD CONSTRAINT fk_upload_source_id_source FOREIGN KEY (source_id) REFERENCES public.source(id);
