BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE cspnas_architectures (
	digest VARCHAR(64) NOT NULL, 
	document JSON NOT NULL, 
	costs JSON NOT NULL, 
	PRIMARY KEY (digest)
);
INSERT INTO "cspnas_architectures" VALUES('01ff782df79c7330fb925fecdc13b9959152bca64e604e8a9b23ade82025d2af','{"family":"densenet","input_shape":[1,28,28],"classes":10,"stem":{"channels":8,"kernel":3,"stride":4,"pool":0},"stages":[{"depth":1,"growth_rate":2,"bottleneck":4,"out":5,"pool":false}],"activation":"relu"}','{"flops":22248,"params":324,"peak_memory":7056,"training_memory":808136,"traffic":3043,"evenness":0.6306122448979592}');
INSERT INTO "cspnas_architectures" VALUES('bed59de3e5ab4e36fcef36abd953feb6f30cdfa48f5c6dbe48af94a3e6ea1b28','{"family":"densenet","input_shape":[1,28,28],"classes":10,"stem":{"channels":8,"kernel":3,"stride":4,"pool":0},"stages":[{"depth":2,"growth_rate":6,"bottleneck":12,"out":10,"pool":false}],"activation":"relu"}','{"flops":179736,"params":2050,"peak_memory":10976,"training_memory":2009544,"traffic":7164,"evenness":0.404329985962639}');
INSERT INTO "cspnas_architectures" VALUES('78300da10a4e13a6572b9ec37ba067c9ca3537933324364b31766559713869b6','{"family":"densenet","input_shape":[1,28,28],"classes":10,"stem":{"channels":8,"kernel":3,"stride":4,"pool":0},"stages":[{"depth":1,"growth_rate":2,"bottleneck":4,"out":5,"pool":false,"csp":{"fusion":"both","part1":4,"part2":4,"t1":6}}],"activation":"relu"}','{"flops":24208,"params":356,"peak_memory":7840,"training_memory":1034360,"traffic":3435,"evenness":0.5718065003779289}');
INSERT INTO "cspnas_architectures" VALUES('afaa0fce2a061e719c5248c0d4979abf09dfca377f8633af03dbdeb4d0a583e6','{"family":"densenet","input_shape":[1,28,28],"classes":10,"stem":{"channels":8,"kernel":3,"stride":4,"pool":0},"stages":[{"depth":2,"growth_rate":6,"bottleneck":12,"out":10,"pool":false,"csp":{"fusion":"both","part1":4,"part2":4,"t1":16}}],"activation":"relu"}','{"flops":195416,"params":2242,"peak_memory":11760,"training_memory":2563912,"traffic":8340,"evenness":0.38465293524817334}');
INSERT INTO "cspnas_architectures" VALUES('22e8cdfd89347726d8529108075bca7e587c0abbcf866fb1fc6241d51f2f5d2a','{"family":"densenet","input_shape":[1,28,28],"classes":10,"stem":{"channels":8,"kernel":3,"stride":4,"pool":0},"stages":[{"depth":1,"growth_rate":2,"bottleneck":4,"out":5,"pool":false,"csp":{"fusion":"first","part1":4,"part2":4}}],"activation":"relu"}','{"flops":20680,"params":308,"peak_memory":7840,"training_memory":807944,"traffic":2847,"evenness":0.5861678004535147}');
INSERT INTO "cspnas_architectures" VALUES('d609119316f3c3e280bc7ed92e6a2f156bca42d61cd644f98feb29448bd56353','{"family":"densenet","input_shape":[1,28,28],"classes":10,"stem":{"channels":8,"kernel":3,"stride":4,"pool":0},"stages":[{"depth":1,"growth_rate":4,"bottleneck":8,"out":6,"pool":false,"csp":{"fusion":"first","part1":2,"part2":6}}],"activation":"relu"}','{"flops":47160,"params":602,"peak_memory":9016,"training_memory":1012488,"traffic":3632,"evenness":0.33418367346938777}');
CREATE TABLE cspnas_drivers (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	about JSON NOT NULL, 
	started FLOAT NOT NULL, 
	ended FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(study_id) REFERENCES cspnas_studies (id)
);
INSERT INTO "cspnas_drivers" VALUES(1,1,'{}',1.79552871616406750678e+09,NULL);
CREATE TABLE cspnas_evaluations (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	recipe_digest VARCHAR(64) NOT NULL, 
	seed BIGINT NOT NULL, 
	fidelity INTEGER NOT NULL, 
	repeat INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	attempt INTEGER NOT NULL, 
	driver_id INTEGER, 
	accuracy FLOAT, 
	result JSON, 
	failure_kind VARCHAR(32), 
	started FLOAT NOT NULL, 
	finished FLOAT, 
	PRIMARY KEY (id), 
	CONSTRAINT cspnas_evaluation_key UNIQUE (study_id, digest, recipe_digest, seed, fidelity), 
	FOREIGN KEY(study_id) REFERENCES cspnas_studies (id), 
	FOREIGN KEY(digest) REFERENCES cspnas_architectures (digest)
);
INSERT INTO "cspnas_evaluations" VALUES(1,1,'01ff782df79c7330fb925fecdc13b9959152bca64e604e8a9b23ade82025d2af','rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr',183152160268680,4,0,'trained',1,1,4.08749310302734369937e-01,'{"accuracy":0.40874931030273437,"failure":null}',NULL,1.7955287163189916611e+09,1.79552871633077907554e+09);
INSERT INTO "cspnas_evaluations" VALUES(2,1,'bed59de3e5ab4e36fcef36abd953feb6f30cdfa48f5c6dbe48af94a3e6ea1b28','rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr',279921355066832,4,0,'failed',1,1,NULL,'{"failure":{"kind":"diverged","message":""}}','diverged',1.79552871633811283111e+09,1.79552871634751176838e+09);
INSERT INTO "cspnas_evaluations" VALUES(3,1,'78300da10a4e13a6572b9ec37ba067c9ca3537933324364b31766559713869b6','rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr',280194132179757,4,0,'trained',1,1,0.52494060546875,'{"accuracy":0.52494060546875,"failure":null}',NULL,1.79552871634842491155e+09,1.79552871634967184063e+09);
INSERT INTO "cspnas_evaluations" VALUES(4,1,'afaa0fce2a061e719c5248c0d4979abf09dfca377f8633af03dbdeb4d0a583e6','rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr',73515009193630,4,0,'trained',1,1,5.77846936035156244493e-01,'{"accuracy":0.5778469360351562,"failure":null}',NULL,1.79552871635093975067e+09,1.7955287163631603718e+09);
INSERT INTO "cspnas_evaluations" VALUES(5,1,'22e8cdfd89347726d8529108075bca7e587c0abbcf866fb1fc6241d51f2f5d2a','rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr',263744639750928,4,0,'trained',1,1,4.43368134765625032667e-01,'{"accuracy":0.44336813476562503,"failure":null}',NULL,1.79552871638974142079e+09,1.79552871640201163298e+09);
INSERT INTO "cspnas_evaluations" VALUES(6,1,'d609119316f3c3e280bc7ed92e6a2f156bca42d61cd644f98feb29448bd56353','rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr',142501713289499,4,0,'in_flight',1,1,NULL,NULL,NULL,1.7955287179626865387e+09,NULL);
CREATE TABLE cspnas_fronts (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	evaluation_id INTEGER NOT NULL, 
	trainings INTEGER NOT NULL, 
	hypervolume FLOAT NOT NULL, 
	points JSON NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(study_id) REFERENCES cspnas_studies (id), 
	FOREIGN KEY(evaluation_id) REFERENCES cspnas_evaluations (id)
);
INSERT INTO "cspnas_fronts" VALUES(1,1,1,1,3.25639433914133469283e-01,'[["01ff782df79c7330fb925fecdc13b9959152bca64e604e8a9b23ade82025d2af",0.40874931030273437,22248.0,7056.0]]');
INSERT INTO "cspnas_fronts" VALUES(2,1,3,3,4.18979915493592480757e-01,'[["78300da10a4e13a6572b9ec37ba067c9ca3537933324364b31766559713869b6",0.52494060546875,24208.0,7840.0],["01ff782df79c7330fb925fecdc13b9959152bca64e604e8a9b23ade82025d2af",0.40874931030273437,22248.0,7056.0]]');
INSERT INTO "cspnas_fronts" VALUES(3,1,4,4,4.18979915493592480757e-01,'[["afaa0fce2a061e719c5248c0d4979abf09dfca377f8633af03dbdeb4d0a583e6",0.5778469360351562,195416.0,11760.0],["78300da10a4e13a6572b9ec37ba067c9ca3537933324364b31766559713869b6",0.52494060546875,24208.0,7840.0],["01ff782df79c7330fb925fecdc13b9959152bca64e604e8a9b23ade82025d2af",0.40874931030273437,22248.0,7056.0]]');
INSERT INTO "cspnas_fronts" VALUES(4,1,5,5,4.30206845754523614644e-01,'[["afaa0fce2a061e719c5248c0d4979abf09dfca377f8633af03dbdeb4d0a583e6",0.5778469360351562,195416.0,11760.0],["78300da10a4e13a6572b9ec37ba067c9ca3537933324364b31766559713869b6",0.52494060546875,24208.0,7840.0],["22e8cdfd89347726d8529108075bca7e587c0abbcf866fb1fc6241d51f2f5d2a",0.44336813476562503,20680.0,7840.0],["01ff782df79c7330fb925fecdc13b9959152bca64e604e8a9b23ade82025d2af",0.40874931030273437,22248.0,7056.0]]');
CREATE TABLE cspnas_schema (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "cspnas_schema" VALUES(1);
CREATE TABLE cspnas_studies (
	id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	identity JSON NOT NULL, 
	facts JSON NOT NULL, 
	created FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "cspnas_studies" VALUES(1,'small','{"space.family":"densenet","space.input_shape":[1,28,28],"space.classes":10,"space.stems":[{"channels":8,"kernel":3,"stride":4,"kind":"conv","hidden":[],"pool":0,"fuse":true}],"space.activations":["relu"],"space.norms":["after"],"stages.0.depth":[1,2],"stages.0.growth_rate":[2,3,4,5,6],"stages.0.csp":[true,false],"stages.0.split_ratio":[0.25,0.5,0.75],"stages.0.fusion":["first","last","both"],"stages.0.bottleneck_ratio":[2.0],"stages.0.compression":[0.5],"stages.0.split":["slice"],"stages.0.taps":[],"stages.0.pool":[],"stages.0.width":[],"stages.0.groups":[],"objectives":["accuracy","flops","peak_memory"],"constraints":[],"proxy.dataset":"fashion-mnist-mini","proxy.epochs":4,"proxy.batch_size":64,"proxy.learning_rate":0.15,"proxy.weight_decay":0.0005,"proxy.label_smoothing":0.0,"proxy.flip":true,"proxy.shift":0,"proxy.precision":"auto","baselines.widths":2,"baselines.split_ratio":0.5,"baselines.fusion":"both","search.seed":0}','{"reference":{"objectives":["accuracy","flops","peak_memory"],"chance":0.1,"low":[0.0,19896.0,7056.0],"high":[1.0,179736.0,11760.0]},"recipe_digest":"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"}',1.79552871614878129958e+09);
CREATE TABLE cspnas_suggestions (
	study_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	source VARCHAR(32) NOT NULL, 
	outcome VARCHAR(16) NOT NULL, 
	digest VARCHAR(64), 
	evaluation_id INTEGER, 
	genotype JSON, 
	note JSON, 
	PRIMARY KEY (study_id, number), 
	FOREIGN KEY(study_id) REFERENCES cspnas_studies (id), 
	FOREIGN KEY(evaluation_id) REFERENCES cspnas_evaluations (id)
);
INSERT INTO "cspnas_suggestions" VALUES(1,0,'baseline:plain','training','01ff782df79c7330fb925fecdc13b9959152bca64e604e8a9b23ade82025d2af',1,'{"stage1.csp":false,"stage1.growth_rate":2,"stage1.depth":1}','null');
INSERT INTO "cspnas_suggestions" VALUES(1,1,'baseline:plain','training','bed59de3e5ab4e36fcef36abd953feb6f30cdfa48f5c6dbe48af94a3e6ea1b28',2,'{"stage1.csp":false,"stage1.growth_rate":6,"stage1.depth":2}','null');
INSERT INTO "cspnas_suggestions" VALUES(1,2,'baseline:csp','training','78300da10a4e13a6572b9ec37ba067c9ca3537933324364b31766559713869b6',3,'{"stage1.csp":true,"stage1.growth_rate":2,"stage1.depth":1,"stage1.split_ratio":0.5,"stage1.fusion":"both"}','null');
INSERT INTO "cspnas_suggestions" VALUES(1,3,'baseline:csp','training','afaa0fce2a061e719c5248c0d4979abf09dfca377f8633af03dbdeb4d0a583e6',4,'{"stage1.csp":true,"stage1.growth_rate":6,"stage1.depth":2,"stage1.split_ratio":0.5,"stage1.fusion":"both"}','null');
INSERT INTO "cspnas_suggestions" VALUES(1,4,'random','training','22e8cdfd89347726d8529108075bca7e587c0abbcf866fb1fc6241d51f2f5d2a',5,'{"stage1.depth":1,"stage1.growth_rate":2,"stage1.csp":true,"stage1.split_ratio":0.5,"stage1.fusion":"first"}','{"state":{"system_attrs":{},"params":{"stage1.depth":0,"stage1.growth_rate":0,"stage1.csp":true,"stage1.split_ratio":1,"stage1.fusion":"first"}}}');
INSERT INTO "cspnas_suggestions" VALUES(1,5,'random','training','d609119316f3c3e280bc7ed92e6a2f156bca42d61cd644f98feb29448bd56353',6,'{"stage1.depth":1,"stage1.growth_rate":4,"stage1.csp":true,"stage1.split_ratio":0.25,"stage1.fusion":"first"}','{"state":{"system_attrs":{},"params":{"stage1.depth":0,"stage1.growth_rate":2,"stage1.csp":true,"stage1.split_ratio":0,"stage1.fusion":"first"}}}');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'small');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',1,1);
INSERT INTO "study_directions" VALUES(3,'MINIMIZE',1,2);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_system_attributes" VALUES(1,1,'study:metric_names','["accuracy", "flops", "peak_memory"]');
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'stage1.csp',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(2,1,'stage1.growth_rate',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [2, 3, 4, 5, 6]}}');
INSERT INTO "trial_params" VALUES(3,1,'stage1.depth',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(4,2,'stage1.csp',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(5,2,'stage1.growth_rate',4.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [2, 3, 4, 5, 6]}}');
INSERT INTO "trial_params" VALUES(6,2,'stage1.depth',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(7,3,'stage1.csp',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(8,3,'stage1.growth_rate',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [2, 3, 4, 5, 6]}}');
INSERT INTO "trial_params" VALUES(9,3,'stage1.depth',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(10,3,'stage1.split_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.25, 0.5, 0.75]}}');
INSERT INTO "trial_params" VALUES(11,3,'stage1.fusion',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["first", "last", "both"]}}');
INSERT INTO "trial_params" VALUES(12,4,'stage1.csp',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(13,4,'stage1.growth_rate',4.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [2, 3, 4, 5, 6]}}');
INSERT INTO "trial_params" VALUES(14,4,'stage1.depth',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(15,4,'stage1.split_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.25, 0.5, 0.75]}}');
INSERT INTO "trial_params" VALUES(16,4,'stage1.fusion',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["first", "last", "both"]}}');
INSERT INTO "trial_params" VALUES(17,5,'stage1.depth',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [1, 2]}}');
INSERT INTO "trial_params" VALUES(18,5,'stage1.growth_rate',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [2, 3, 4, 5, 6]}}');
INSERT INTO "trial_params" VALUES(19,5,'stage1.csp',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [true, false]}}');
INSERT INTO "trial_params" VALUES(20,5,'stage1.split_ratio',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.25, 0.5, 0.75]}}');
INSERT INTO "trial_params" VALUES(21,5,'stage1.fusion',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["first", "last", "both"]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'digest','"01ff782df79c7330fb925fecdc13b9959152bca64e604e8a9b23ade82025d2af"');
INSERT INTO "trial_user_attributes" VALUES(2,1,'source','"baseline:plain"');
INSERT INTO "trial_user_attributes" VALUES(3,1,'outcome','"trained"');
INSERT INTO "trial_user_attributes" VALUES(4,1,'failures','[]');
INSERT INTO "trial_user_attributes" VALUES(5,1,'trainings','1');
INSERT INTO "trial_user_attributes" VALUES(6,1,'accuracies','[0.40874931030273437]');
INSERT INTO "trial_user_attributes" VALUES(7,1,'flops','22248');
INSERT INTO "trial_user_attributes" VALUES(8,1,'params','324');
INSERT INTO "trial_user_attributes" VALUES(9,1,'peak_memory','7056');
INSERT INTO "trial_user_attributes" VALUES(10,1,'training_memory','808136');
INSERT INTO "trial_user_attributes" VALUES(11,1,'traffic','3043');
INSERT INTO "trial_user_attributes" VALUES(12,1,'evenness','0.6306122448979592');
INSERT INTO "trial_user_attributes" VALUES(13,2,'digest','"bed59de3e5ab4e36fcef36abd953feb6f30cdfa48f5c6dbe48af94a3e6ea1b28"');
INSERT INTO "trial_user_attributes" VALUES(14,2,'source','"baseline:plain"');
INSERT INTO "trial_user_attributes" VALUES(15,2,'outcome','"failed"');
INSERT INTO "trial_user_attributes" VALUES(16,2,'failures','["diverged"]');
INSERT INTO "trial_user_attributes" VALUES(17,2,'trainings','1');
INSERT INTO "trial_user_attributes" VALUES(18,2,'accuracies','[]');
INSERT INTO "trial_user_attributes" VALUES(19,2,'flops','179736');
INSERT INTO "trial_user_attributes" VALUES(20,2,'params','2050');
INSERT INTO "trial_user_attributes" VALUES(21,2,'peak_memory','10976');
INSERT INTO "trial_user_attributes" VALUES(22,2,'training_memory','2009544');
INSERT INTO "trial_user_attributes" VALUES(23,2,'traffic','7164');
INSERT INTO "trial_user_attributes" VALUES(24,2,'evenness','0.404329985962639');
INSERT INTO "trial_user_attributes" VALUES(25,3,'digest','"78300da10a4e13a6572b9ec37ba067c9ca3537933324364b31766559713869b6"');
INSERT INTO "trial_user_attributes" VALUES(26,3,'source','"baseline:csp"');
INSERT INTO "trial_user_attributes" VALUES(27,3,'outcome','"trained"');
INSERT INTO "trial_user_attributes" VALUES(28,3,'failures','[]');
INSERT INTO "trial_user_attributes" VALUES(29,3,'trainings','1');
INSERT INTO "trial_user_attributes" VALUES(30,3,'accuracies','[0.52494060546875]');
INSERT INTO "trial_user_attributes" VALUES(31,3,'flops','24208');
INSERT INTO "trial_user_attributes" VALUES(32,3,'params','356');
INSERT INTO "trial_user_attributes" VALUES(33,3,'peak_memory','7840');
INSERT INTO "trial_user_attributes" VALUES(34,3,'training_memory','1034360');
INSERT INTO "trial_user_attributes" VALUES(35,3,'traffic','3435');
INSERT INTO "trial_user_attributes" VALUES(36,3,'evenness','0.5718065003779289');
INSERT INTO "trial_user_attributes" VALUES(37,4,'digest','"afaa0fce2a061e719c5248c0d4979abf09dfca377f8633af03dbdeb4d0a583e6"');
INSERT INTO "trial_user_attributes" VALUES(38,4,'source','"baseline:csp"');
INSERT INTO "trial_user_attributes" VALUES(39,4,'outcome','"trained"');
INSERT INTO "trial_user_attributes" VALUES(40,4,'failures','[]');
INSERT INTO "trial_user_attributes" VALUES(41,4,'trainings','1');
INSERT INTO "trial_user_attributes" VALUES(42,4,'accuracies','[0.5778469360351562]');
INSERT INTO "trial_user_attributes" VALUES(43,4,'flops','195416');
INSERT INTO "trial_user_attributes" VALUES(44,4,'params','2242');
INSERT INTO "trial_user_attributes" VALUES(45,4,'peak_memory','11760');
INSERT INTO "trial_user_attributes" VALUES(46,4,'training_memory','2563912');
INSERT INTO "trial_user_attributes" VALUES(47,4,'traffic','8340');
INSERT INTO "trial_user_attributes" VALUES(48,4,'evenness','0.38465293524817334');
INSERT INTO "trial_user_attributes" VALUES(49,5,'digest','"22e8cdfd89347726d8529108075bca7e587c0abbcf866fb1fc6241d51f2f5d2a"');
INSERT INTO "trial_user_attributes" VALUES(50,5,'source','"random"');
INSERT INTO "trial_user_attributes" VALUES(51,5,'outcome','"trained"');
INSERT INTO "trial_user_attributes" VALUES(52,5,'failures','[]');
INSERT INTO "trial_user_attributes" VALUES(53,5,'trainings','1');
INSERT INTO "trial_user_attributes" VALUES(54,5,'accuracies','[0.44336813476562503]');
INSERT INTO "trial_user_attributes" VALUES(55,5,'flops','20680');
INSERT INTO "trial_user_attributes" VALUES(56,5,'params','308');
INSERT INTO "trial_user_attributes" VALUES(57,5,'peak_memory','7840');
INSERT INTO "trial_user_attributes" VALUES(58,5,'training_memory','807944');
INSERT INTO "trial_user_attributes" VALUES(59,5,'traffic','2847');
INSERT INTO "trial_user_attributes" VALUES(60,5,'evenness','0.5861678004535147');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,4.08749310302734369937e-01,'FINITE');
INSERT INTO "trial_values" VALUES(2,1,1,22248.0,'FINITE');
INSERT INTO "trial_values" VALUES(3,1,2,7056.0,'FINITE');
INSERT INTO "trial_values" VALUES(4,3,0,0.52494060546875,'FINITE');
INSERT INTO "trial_values" VALUES(5,3,1,24208.0,'FINITE');
INSERT INTO "trial_values" VALUES(6,3,2,7840.0,'FINITE');
INSERT INTO "trial_values" VALUES(7,4,0,5.77846936035156244493e-01,'FINITE');
INSERT INTO "trial_values" VALUES(8,4,1,195416.0,'FINITE');
INSERT INTO "trial_values" VALUES(9,4,2,11760.0,'FINITE');
INSERT INTO "trial_values" VALUES(10,5,0,4.43368134765625032667e-01,'FINITE');
INSERT INTO "trial_values" VALUES(11,5,1,20680.0,'FINITE');
INSERT INTO "trial_values" VALUES(12,5,2,7840.0,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-24 13:58:36.318992','2026-11-24 13:58:36.330779');
INSERT INTO "trials" VALUES(2,1,1,'FAIL','2026-11-24 13:58:36.338113','2026-11-24 13:58:36.347512');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-24 13:58:36.348425','2026-11-24 13:58:36.349672');
INSERT INTO "trials" VALUES(4,3,1,'COMPLETE','2026-11-24 13:58:36.350940','2026-11-24 13:58:36.363160');
INSERT INTO "trials" VALUES(5,4,1,'COMPLETE','2026-11-24 13:58:36.389741','2026-11-24 13:58:36.402012');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
